"""The server, the workers and the queues, as the doctor tells of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from stepflow.engine.doctor.model import Level, Line
from stepflow.engine.env import Env
from stepflow.engine.why.facts import World
from stepflow.engine.why.read_world import read_world, refusal_in
from stepflow.engine.why.words import count, lasting, listed, moment
from stepflow.store.calls import batch
from stepflow.store.connection.server_check import server_info, warnings_in
from stepflow.store.durability.level import Durability
from stepflow.store.durability.losses import Persistence, load_persistence
from stepflow.store.evidence.whole import ping
from stepflow.store.query import server_time
from stepflow.store.runs.to_archive import count_ends, oldest_end
from stepflow.store.values import offloaded

#: pings whose times are told
_PINGS = 50
#: seconds by which the clocks of two machines may differ
_OFFSET_S = 1.0
#: seconds that a ping may take
_SLOW_S = 0.1
#: part of the memory that is left when it is getting scarce
_SCARCE = 0.1
_MIB = 2**20
#: seconds that an end may wait to be archived
_ARCHIVED_S = 60.0


async def look_at_server(env: Env) -> list[Line]:
    """Look at the server, the workers and the queues."""
    times = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        await ping()
        times.append(time.perf_counter() - began)
    before = time.time()
    info, now = await batch(server_info(), server_time())
    half = (time.time() - before) / 2
    kept = await load_persistence()
    world = await read_world(env)
    return [
        *_of_server(info, kept, env.settings.durability), _of_latency(sorted(times)),
        _of_clock(now - before - half),
        *_of_workers(world, env), *await _of_archive(world, env), *await _of_offload(env),
    ]  # fmt: skip


async def _of_offload(env: Env) -> list[Line]:
    """Look whether large values can be written; blocks while it waits for their store."""
    if offloaded.in_use is None:
        return []
    from stepflow.store.offload.look import look_at_store  # noqa: PLC0415  few have one

    is_well, sentence = await look_at_store(env.keys)
    return [Line(Level.OK if is_well else Level.BAD, "large values", sentence)]


def _of_server(
    info: Mapping[str, str], kept: Persistence, durability: Durability
) -> Iterator[Line]:
    kind, version = (
        ("Valkey", info["valkey_version"])
        if "valkey_version" in info
        else ("Redis", info.get("redis_version", "?"))
    )
    yield Line(Level.OK, "server", f"{kind} {version}, up {_uptime(info)}")
    refusal = refusal_in(info)
    if refusal:
        yield Line(Level.BAD, "writes", f"refused: {refusal}")
    for sentence in warnings_in(info):
        yield Line(Level.NOTE, "settings", sentence)
    yield Line(Level.OK if kept.appends else Level.NOTE, "persistence", kept.loss_at(durability))
    yield _of_memory(info)


def _uptime(info: Mapping[str, str]) -> str:
    text = info.get("uptime_in_seconds", "")
    return lasting(float(text)) if text.isdigit() else "an unknown time"


def _of_memory(info: Mapping[str, str]) -> Line:
    used, most = (
        int(info.get(name, "0")) if info.get(name, "0").isdigit() else 0
        for name in ("used_memory", "maxmemory")
    )
    if not most:
        return Line(Level.OK, "memory", f"{used / _MIB:,.0f} MiB used, without a limit")
    left = 1 - used / most
    level = Level.NOTE if left < _SCARCE else Level.OK
    text = f"{used / _MIB:,.0f} of {most / _MIB:,.0f} MiB used"
    return Line(level, "memory", f"{text}, {max(0.0, left):.0%} left")


def _of_latency(times: list[float]) -> Line:
    half, most = times[len(times) // 2], times[-1]
    level = Level.NOTE if half > _SLOW_S else Level.OK
    return Line(
        level, "latency", f"PING takes {half * 1e3:.1f} ms, {most * 1e3:.1f} ms at the longest"
    )


def _of_clock(offset: float) -> Line:
    if abs(offset) <= _OFFSET_S:
        return Line(Level.OK, "clock", "the server's clock and this host's agree")
    ahead = "ahead of" if offset > 0 else "behind"
    text = f"the server's clock is {lasting(abs(offset))} {ahead} this host's"
    return Line(Level.NOTE, "clock", f"{text}; runs go by the server's")


def _of_workers(world: World, env: Env) -> Iterator[Line]:
    if world.refusal:
        yield Line(
            Level.NOTE, "workers", "while Redis refuses writes no worker can say that it lives"
        )
        return
    live = world.live
    blocked = [worker.name for worker in world.blocked()]
    dead = [
        worker
        for worker in world.workers
        if worker.is_ours and not worker.is_live and worker.name not in blocked
    ]
    names = listed([worker.name for worker in live])
    yield Line(
        Level.OK if live else Level.NOTE, "workers",
        f"{count(len(live), 'live worker')}: {names}" if live else "no live worker",
    )  # fmt: skip
    if blocked:
        yield Line(
            Level.NOTE, "workers",
            f"code blocks the event loop of {listed(blocked)}: they take nothing, and "
            "steps in them stand still: stepflow workers",
        )  # fmt: skip
    if dead:
        yield Line(
            Level.NOTE, "workers", f"not heard of any more: {listed([one.name for one in dead])}"
        )
    if world.is_suspended:
        yield Line(Level.BAD, "queues", "RQ is suspended, nobody takes anything: rq resume")
    for name, (by, reason, at) in sorted(world.paused.items()):
        why = f": {reason}" if reason else ""
        since = moment(at, world.now)
        yield Line(
            Level.NOTE, "queues", f"queue {name} was paused by {by or 'somebody'} at {since}{why}"
        )
    for rq_queue, length in sorted(world.lengths.items()):
        if length and rq_queue != env.keys.hook_queue and not world.serving(rq_queue):
            name = env.keys.split_queue(rq_queue)[0]
            waits = count(length, "entry waits", "entries wait")
            whose = (
                "whose workers are blocked"
                if world.blocked(rq_queue)
                else ("which no live worker works")
            )
            yield Line(
                Level.BAD, "queues",
                f"{waits} in queue {rq_queue}, {whose}: stepflow worker APP --queue {name}",
            )  # fmt: skip


async def _of_archive(world: World, env: Env) -> list[Line]:
    """Say how many ends wait to be archived, and since when."""
    ends, since = await batch(count_ends(env.keys), oldest_end(env.keys))
    if not ends or not since:
        return []
    if since > world.now:  # until then somebody has them
        being = count(ends, "end is", "ends are")
        return [Line(Level.NOTE, "archive", f"{being} being archived")]
    waiting = f"{count(ends, 'end waits', 'ends wait')} to be archived, the oldest since"
    waiting = f"{waiting} {moment(since, world.now)}"
    if world.now - since < _ARCHIVED_S:
        return [Line(Level.NOTE, "archive", waiting)]
    held = lasting(env.settings.archive.hold_s)
    return [
        Line(
            Level.BAD, "archive",
            f"{waiting}: nothing archives them, or not as fast as they come: stepflow archive "
            f"health, stepflow archive work; Redis keeps these runs for {held} from their end",
        )
    ]  # fmt: skip

"""Which build of each runner live workers have: what they write once at their start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stepflow.engine.env import Env
from stepflow.errors import StepflowError
from stepflow.store.calls import batch_of
from stepflow.store.query import forget_builds, load_builds, save_builds, worker_seen
from stepflow.store.values.codec import pack, unpack

#: seconds that a worker, and what it says of its versions, counts as live; it says so once a second
LIVE_S = 5.0
#: seconds after its last heartbeat, one of which comes every 10 s, that a worker counts as blocked
#: which says so: its loop, which would report that it lives, does not turn
BLOCKED_LIVE_S = 30.0
#: seconds after which the builds of a worker that was not seen any more are forgotten
GONE_S = 60.0


async def announce_builds(worker: str, group: str, builds: Mapping[str, str], env: Env) -> bool:
    """
    Write which build a worker has of each runner key, and forget what the dead have written.

    *group* names the workers with the same queues, as they report that they live. False when
    something else stands where builds are kept.
    """
    packed = pack([env.clock.now(), group, dict(builds)], in_clear=True)
    written = await save_builds(env.keys, worker, packed)
    await _living(env)
    return written is not None


async def live_builds(key: str, queue: str, env: Env) -> set[str]:
    """Give the builds of runner *key* that live workers of *queue* have."""
    return {
        one.builds[key]
        for one in await _living(env)
        if key in one.builds and queue in one.group.split("+")
    }


@dataclass(frozen=True, slots=True)
class Announced:
    """What a worker wrote of its builds, by runner key, and how long ago it was last seen."""

    worker: str
    group: str
    builds: Mapping[str, str]
    age_s: float


async def announced(env: Env) -> list[Announced]:
    """Give what workers have written, the dead ones among them."""
    kept = await load_builds(env.keys)
    if not kept:
        return []
    said = {name.decode("utf-8", "replace"): _builds_in(packed) for name, packed in kept.items()}
    seen = await batch_of(
        [worker_seen(env.keys, group, worker) for worker, (_, group, _) in said.items()]
    )
    now = env.clock.now()
    return [
        Announced(worker, group, builds, now - max(at, seen_at or 0.0))
        for (worker, (at, group, builds)), seen_at in zip(said.items(), seen, strict=True)
    ]


async def _living(env: Env) -> list[Announced]:
    """Give what live workers have written; forgets the dead."""
    found = await announced(env)
    gone = [one.worker for one in found if one.age_s > GONE_S]
    if gone:
        await forget_builds(env.keys, gone)
    return [one for one in found if one.age_s < LIVE_S]


def group_in(packed: bytes) -> str:
    """Read which group a worker is in, by what it wrote of its builds; "" for what is not ours."""
    return _builds_in(packed)[1]


def _builds_in(packed: bytes) -> tuple[float, str, Mapping[str, str]]:
    """Read what a worker wrote of its builds; what is nothing of ours is long gone."""
    try:
        at, group, builds = unpack(packed)
        return float(at), str(group), dict(builds)
    except (StepflowError, TypeError, ValueError):
        return 0.0, "", {}

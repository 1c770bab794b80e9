"""submit: the run record, its step 0 and the RQ job appear together, once per run id."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from stepflow.core import probes
from stepflow.core.backoff import check_policy
from stepflow.core.ids import (
    Delivery,
    check_name,
    check_queue,
    check_run_id,
    check_version,
    new_run_id,
)
from stepflow.core.run import Run, RunState
from stepflow.engine.env import Env
from stepflow.engine.lanes.name import lane_of
from stepflow.engine.once.settle import settle_taken
from stepflow.engine.spec import RunSpec, pack_options, read_priority
from stepflow.engine.tags import write_tags
from stepflow.errors import InvalidOption, LimitFull, RunConflict, shown
from stepflow.store.calls import Call, LateCall, Part, batch_of
from stepflow.store.run_hash import read_run
from stepflow.store.runs import Full, Taken, submit_run
from stepflow.store.values import offloaded
from stepflow.store.values.codec import pack
from stepflow.store.values.digest import digest
from stepflow.store.values.offloaded import Stored
from stepflow.times import seconds, unix_time

#: runs put into one round trip by submit_many
CHUNK = 500

#: times a restart is tried again when others move the run in between
_RESTARTS = 5


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submit found or made; *created* is False when an equal run was already there."""

    id: str
    created: bool


@dataclass(slots=True)
class Prepared:
    """A run that is to be made, with all that is written of it."""

    run: Run
    data: list[Part]
    request: str
    tags: Sequence[str] = ()


async def submit(spec: RunSpec, env: Env) -> Submitted:
    """
    Make the run of *spec*, or find the equal one that is there.

    Raises RunConflict for a run id taken by another input or runner, LimitFull where too many wait
    for a limit of it, and what `pack` raises; nothing is written then.
    """
    prepared = prepare(spec, env, may_share=True)
    probes.at("submit.ready")
    found = await _call(prepared, env)
    probes.at("submit.done")
    return await _settle(spec, prepared, found, env)


async def submit_many(specs: Sequence[RunSpec], env: Env) -> list[Submitted]:
    """
    Make many runs in a few round trips; all are checked before the first is written.

    Gives the results in order. Raises what `submit` raises, and the runs before that one are made.
    """
    prepared = [prepare(spec, env, may_share=True) for spec in specs]
    results: list[Submitted] = []
    for start in range(0, len(specs), CHUNK):
        part = prepared[start : start + CHUNK]
        found = await batch_of([LateCall(partial(_call, item, env)) for item in part])
        for spec, item, row in zip(specs[start : start + CHUNK], part, found, strict=True):
            results.append(await _settle(spec, item, row, env))
    return results


def prepare(spec: RunSpec, env: Env, *, may_share: bool = False) -> Prepared:
    """
    Check *spec* and turn it into a run and its data; touches no Redis.

    Only one that *may_share* may have the key of a singleton, or be debounced.
    """
    once = spec.once
    if once is not None and not may_share:
        msg = f"a run of {spec.runner!r} has a singleton or debounce key; only submit takes one"
        raise InvalidOption(msg)
    if spec.durability is not None and not may_share:
        msg = f"a run of {spec.runner!r} has a durability of its own; only submit takes one"
        raise InvalidOption(msg)
    limits, now = env.settings.limits, env.clock.now()
    if spec.delay is not None and spec.start_at is not None:
        msg = "submit takes delay or start_at, not both"
        raise InvalidOption(msg)
    if spec.debounce is not None and not spec.delay is spec.start_at is None:
        msg = "a debounced run has its own time to begin; leave delay and start_at out"
        raise InvalidOption(msg)
    if spec.on_conflict not in ("return", "restart"):
        msg = f"on_conflict {shown(spec.on_conflict)} is neither 'return' nor 'restart'"
        raise InvalidOption(msg)
    if spec.on_timeout not in ("undo", "end"):
        msg = f"on_timeout {shown(spec.on_timeout)} is neither 'undo' nor 'end'"
        raise InvalidOption(msg)
    if spec.webhooks and len(spec.webhooks) > limits.webhooks:
        msg = (
            f"{len(spec.webhooks)} webhooks for one run, the limit is {limits.webhooks}; "
            "raise STEPFLOW_LIMITS_WEBHOOKS"
        )
        raise InvalidOption(msg)
    if spec.retry is not None:
        check_policy(spec.retry, f"a run of {spec.runner!r}")
    run_id = (
        new_run_id(now, secrets.randbits(80)) if spec.run_id is None else check_run_id(spec.run_id)
    )
    payload = pack(spec.payload, what="the payload", limit=limits.payload_bytes)
    options, tags = pack_options(spec, limits.payload_bytes), write_tags(spec.tags)
    run = Run(
        run_id,
        check_name("runner", spec.runner),
        check_queue(spec.queue),
        read_priority(spec.priority),
        digest=digest(spec.runner, spec.payload) if offloaded.in_use is None else _digest_of(spec),
        created_at=now,
        deadline_at=0.0 if spec.timeout is None else now + seconds(spec.timeout, "timeout"),
        version=1 if spec.version is None else check_version(spec.version),
        has_tags=bool(tags),
        lane=lane_of(spec, env),
        once="" if once is None else once.name,
        schedule="" if spec.scheduled is None else spec.scheduled.schedule_id,
        limits=spec.uses,
        ends_at_timeout=spec.on_timeout == "end",
    )
    _hand_over_first(run, spec, env)
    return Prepared(
        run, ["payload", payload, *(("spec", options) if options else ())], env.request_id(), tags
    )


def offload_payload(spec: RunSpec, env: Env) -> RunSpec:
    """
    Give *spec* with what leads to its payload, where a store for large values takes that.

    Blocks while it writes. The payload of a debounced run stays: it may become another run's.
    Raises OffloadUnreachable, and what `pack` raises.
    """
    store = offloaded.in_use
    if store is None or spec.debounce is not None:
        return spec
    packed = pack(spec.payload, what="the payload", limit=store.limit)
    if not store.takes(packed):
        return spec
    known = digest(spec.runner, spec.payload)
    run_id = spec.run_id
    if run_id is None:
        run_id = new_run_id(env.clock.now(), secrets.randbits(80))
    reference = store.write(
        packed, f"the payload of run {check_run_id(run_id)!r}",
        namespace=env.keys.namespace, run_id=run_id, parent=None,
    )  # fmt: skip
    return replace(spec, run_id=run_id, payload=Stored(reference, known))


def leave_payload(spec: RunSpec) -> None:
    """
    Delete a payload that was offloaded for a run that was not made.

    Blocks. While the store is away it stays, until the run of that id is gone.
    """
    store = offloaded.in_use
    if store is not None and isinstance(spec.payload, Stored):
        with suppress(OSError):
            store.delete(spec.payload.reference)


def _digest_of(spec: RunSpec) -> bytes:
    """Give the digest of the input of a run, also where that is offloaded."""
    payload = spec.payload
    return payload.digest if isinstance(payload, Stored) else digest(spec.runner, payload)


def _hand_over_first(run: Run, spec: RunSpec, env: Env) -> None:
    """Set the run's first delivery and when it is due."""
    due_at = 0.0
    if spec.debounce is not None:
        due_at = spec.debounce.due_at(run.created_at, run.created_at)
    elif spec.delay is not None:
        due_at = run.created_at + seconds(spec.delay, "delay")
    elif spec.start_at is not None:
        due_at = unix_time(spec.start_at, "start_at")
    is_later = due_at > run.created_at
    run.due_at = due_at if is_later else 0.0
    run.state = RunState.SCHEDULED if is_later else RunState.PENDING
    run.delivery = env.keys.rq_id(Delivery(run.id, 0, run.generation))


def begin_again(run: Run, spec: RunSpec, ended: Run, env: Env) -> None:
    """Make *run*, which is to be made from *spec*, the next generation of one that has ended."""
    run.generation, run.rev = ended.generation + 1, ended.rev + 1
    _hand_over_first(run, spec, env)


def _call(
    prepared: Prepared, env: Env, replaces: Run | None = None, ousted: str = ""
) -> Call[dict[bytes, bytes] | Taken | Full | None]:
    return submit_run(
        env.keys, prepared.run, request=prepared.request, data=prepared.data, tags=prepared.tags,
        replaces=replaces, ousted=ousted,
    )  # fmt: skip


async def _settle(
    spec: RunSpec, prepared: Prepared, row: dict[bytes, bytes] | Taken | Full | None, env: Env
) -> Submitted:
    """Say what it means that the run id was free, or taken by the run of *row*."""
    run = prepared.run
    for _ in range(_RESTARTS):
        if row is None:
            return Submitted(run.id, created=True)
        if isinstance(row, Full):
            raise LimitFull(*row)
        if isinstance(row, Taken):
            found = await settle_taken(spec.once, row.run_id, run, prepared.data, env)
            if found is not None:
                return Submitted(found, created=False)
            row = await _call(prepared, env, ousted=row.run_id)
            continue
        there = read_run(run.id, row, env.keys)
        if there.is_finished and spec.on_conflict == "restart":
            begin_again(run, spec, there, env)
            row = await _call(prepared, env, replaces=there)
            continue
        if there.runner != run.runner:
            raise RunConflict(run.id, "runner", there.state)
        if there.digest != run.digest:
            raise RunConflict(run.id, "input", there.state)
        return Submitted(run.id, created=False)
    raise RunConflict(run.id, "fate each time it was looked at", "moving")

"""
How a worker writes large values to their store and reads them back: in threads, and patiently.

A value that is to be remembered waits in memory while the store is away, as a write waits for
Redis: the step whose value it is does not run again. A run that needs a value which cannot be read
gives its slot back and is delivered again later; no attempt counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from stepflow.core import probes
from stepflow.core.transition import Transition, TransitionKind
from stepflow.engine import insist
from stepflow.engine.insist import say_refused
from stepflow.engine.spec import RunSpec
from stepflow.errors import ClaimLost, OffloadUnreachable, Postponed, UnreadableOffload
from stepflow.store.offload.offload import Held, Offload, Prepared
from stepflow.store.offload.paths import owners_of
from stepflow.store.offload.use import present
from stepflow.store.runs import load_run
from stepflow.store.values.codec import pack, unpack
from stepflow.store.values.digest import digest
from stepflow.store.values.offloaded import Reference, Stored, references_in
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.state import WorkerState

T = TypeVar("T")

log = logging.getLogger("stepflow.run")

#: seconds until a run is delivered again that needs a value which cannot be read now
LATER_S = 5.0
#: values that are read at once for one run
_AT_ONCE = 8


class _ChangedError(Exception):
    """A run was asked to stop while its value waited for the store."""


async def write_value(
    claimed: ClaimedRun,
    data: bytes,
    what: str,
    worker_state: WorkerState,
    *,
    is_over: Callable[[], bool] = lambda: False,
    is_end: bool = False,
    child_id: str | None = None,
) -> Reference:
    """
    Write a packed value of a claimed run, or of a child of it, and hold it for this attempt.

    While the store is away it is tried again every second. Raises ClaimLost once the claim is
    another worker's, or *is_over*. What *is_end* is what the run's step has ended in: a request to
    stop then raises _ChangedError.
    """
    offload, run, parent = _present(), claimed.run, claimed.options.parent
    owner, above = run.id, None if parent is None else parent.run_id
    if child_id is not None:
        owner, above = child_id, run.id
    prepare = partial(
        offload.prepare, data, f"{what} of run {owner!r}",
        namespace=worker_state.env.keys.namespace, run_id=owner, parent=above,
    )  # fmt: skip
    worker_state.offloading += 1
    try:
        prepared: Prepared = await worker_state.threads.run(prepare)
        reference: Reference = await _insist(
            partial(offload.put, prepared), claimed, worker_state, is_over, is_end=is_end
        )
    finally:
        worker_state.offloading -= 1
    _hold(claimed, [offload.hold(reference, data)])
    probes.at("offload.done")
    return reference


async def _insist(
    work: Callable[[], T],
    claimed: ClaimedRun,
    worker_state: WorkerState,
    is_over: Callable[[], bool],
    *,
    is_end: bool = False,
) -> T:
    """Do *work* in a thread, again every second while the store is away."""
    run, tries = claimed.run, 0
    while not (claimed.is_lost or is_over()):
        try:
            done: T = await worker_state.threads.run(work)
        except OffloadUnreachable as problem:
            say_refused(f"run={run.id} step={run.step} cannot go on", problem, tries)
        else:
            return done
        tries += 1
        await asyncio.sleep(insist.REFUSED_S)
        if is_end and claimed.cancel.is_set and await _has_changed(claimed, worker_state):
            raise _ChangedError
    raise ClaimLost(f"run {run.id!r} was left while it waited for the store for large values")


async def _has_changed(claimed: ClaimedRun, worker_state: WorkerState) -> bool:
    """Read a run anew that was asked to stop; whether its record says so."""
    run = claimed.run
    now = await worker_state.connection.call(load_run(worker_state.env.keys, run.id))
    if now is None or now.token != run.token or now.step != run.step or now.rev <= run.rev:
        return False  # the commit finds out what it means
    now.crashes = run.crashes
    claimed.run = now
    return True


async def read_values(
    claimed: ClaimedRun, packed: Iterable[bytes], worker_state: WorkerState
) -> None:
    """
    Read what the references in *packed* lead to, and hold it for the present attempt.

    What is missing or damaged is left to whoever reads it, who says so. Raises Postponed while the
    store is away.
    """
    for some in _in_parts(packed):
        reading = [worker_state.threads.run(_present().fetch, each) for each in some]
        for read in await asyncio.gather(*reading, return_exceptions=True):
            if isinstance(read, OffloadUnreachable):
                raise _later(claimed, read, worker_state)
            if isinstance(read, Held):
                _hold(claimed, [read])
            elif not isinstance(read, UnreadableOffload):
                raise read


async def read_journal(
    claimed: ClaimedRun, sent: asyncio.Future[list[bytes]], worker_state: WorkerState
) -> list[bytes]:
    """Give a journal that was sent for, with all that it leads to at hand; as `read_values`."""
    journal = await sent
    await read_values(claimed, journal, worker_state)
    return journal


async def read_ends(
    claimed: ClaimedRun, packed: Iterable[bytes], worker_state: WorkerState
) -> None:
    """
    Read what the ends of children lead to, as `read_values` does.

    What belongs to a child of another run, of which this is a fork, is noted to be this one's as
    well. While the store is away it is tried again every second. Raises ClaimLost.
    """
    attempt, offload = claimed.attempt, _present()
    for some in _in_parts(packed):
        others = [each for each in some if claimed.run.id not in owners_of(each.path)]
        work = partial(_fetch, offload, some, others, claimed.run.id)
        _hold(claimed, await _insist(work, claimed, worker_state, lambda: not attempt.in_runner))


def _fetch(
    offload: Offload, wanted: Sequence[Reference], others: Sequence[Reference], run_id: str
) -> list[Held]:
    """Read some values, but for those that cannot be; blocks."""
    held: list[Held] = []
    offload.share(others, run_id)
    for each in wanted:
        with suppress(UnreadableOffload):
            held.append(offload.fetch(each))
    return held


def _in_parts(packed: Iterable[bytes]) -> Iterator[list[Reference]]:
    """Give the references in packed bytes, each once, a few at a time."""
    found = {each.path: each for data in packed for each in references_in(data)}
    wanted = list(found.values())
    for start in range(0, len(wanted), _AT_ONCE):
        yield wanted[start : start + _AT_ONCE]


def _later(
    claimed: ClaimedRun, problem: OffloadUnreachable, worker_state: WorkerState
) -> Postponed:
    log.warning(
        "run=%s step=%s cannot go on: %s; it is delivered again in %g s", claimed.run.id,
        claimed.run.step, problem, LATER_S,
    )  # fmt: skip
    due_at = worker_state.env.clock.now() + LATER_S
    return Postponed(f"the store for large values at {problem.store}", due_at, None)


async def read_payload(claimed: ClaimedRun, packed: bytes, worker_state: WorkerState) -> Any:
    """Read an offloaded payload; raises Postponed while the store is away, UnreadableOffload."""
    await read_values(claimed, [packed], worker_state)
    return await worker_state.threads.run(unpack, packed)


async def offloaded_move(
    claimed: ClaimedRun, move: Transition, worker_state: WorkerState
) -> Transition | None:
    """
    Give *move* with references in place of large values: its result, or the next step's payload.

    None where the run was asked to stop while the store was away: what becomes of it is to be
    decided again. Raises what packs a value raises, and ClaimLost.
    """
    try:
        if move.kind is TransitionKind.FINISH and move.result is not None:
            result = await _stored(claimed, move.result, "the result", worker_state)
            return replace(move, result=result)
        if move.kind is TransitionKind.ADVANCE and move.payload is not None:
            what = f"the payload of step {move.step}"
            return replace(move, payload=await _stored(claimed, move.payload, what, worker_state))
    except _ChangedError:
        return None
    return move


async def _stored(claimed: ClaimedRun, value: Any, what: str, worker_state: WorkerState) -> Any:
    offload = _present()
    data = pack(value, what=what, limit=offload.limit)
    if not offload.takes(data):
        return value
    return Stored(await write_value(claimed, data, what, worker_state, is_end=True))


async def offload_payloads(
    claimed: ClaimedRun, specs: Sequence[RunSpec], worker_state: WorkerState
) -> list[RunSpec]:
    """
    Give the specs of children of a claimed run with references in place of large payloads.

    Raises what packs a value raises, and ClaimLost.
    """
    offload, made = _present(), list(specs)
    for number, spec in enumerate(made):
        data = pack(spec.payload, what="the payload", limit=offload.limit)
        if offload.takes(data):
            known = digest(spec.runner, spec.payload)
            reference = await write_value(
                claimed, data, "the payload", worker_state, child_id=spec.run_id
            )
            made[number] = replace(spec, payload=Stored(reference, known))
    return made


def _hold(claimed: ClaimedRun, held: list[Held]) -> None:
    """Hold values for as long as the present attempt is there."""
    attempt = claimed.attempt
    attempt.held = getattr(attempt, "held", None) or []
    attempt.held += held


def _present() -> Offload:
    offload = present()
    assert offload is not None, "asked for only where a store is in use"
    return offload

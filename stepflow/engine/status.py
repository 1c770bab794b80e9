"""How a run looks from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stepflow.core.ids import check_texts, worker_of
from stepflow.core.journal import MISREAD, Entry, EntryKind, batch_name, read_batch
from stepflow.core.run import Run, RunState, RunStatus, priority_name
from stepflow.core.tried import Tried
from stepflow.engine.children import progress
from stepflow.engine.env import Env
from stepflow.engine.kept import KeptData, read_tried
from stepflow.engine.versions import live_versions
from stepflow.store.calls import batch, batch_of
from stepflow.store.journal import load_last_entry
from stepflow.store.runs import load_data, load_run
from stepflow.store.steering.queues import PausedQueue, load_queue_pause
from stepflow.times import as_datetime, in_words


async def status(run_id: str, env: Env) -> RunStatus | None:
    """Read one run; None when none is kept."""
    run, data = await _load(run_id, env)
    if run is None:
        return None
    live = await live_versions(run.runner, env) if run.unroutable_since else ()
    return await with_progress(status_of(run, data, live), run, env)


async def statuses(run_ids: Sequence[str], env: Env) -> list[RunStatus]:
    """Read many runs without their data: no payload, result, error or headers."""
    wanted = check_texts("run_ids", run_ids)
    runs = await batch_of([load_run(env.keys, run_id) for run_id in wanted])
    return [status_of(run, {}) for run in runs if run is not None]


async def with_progress(shown: RunStatus, run: Run, env: Env) -> RunStatus:
    """Add to a status who paused the run's queue, or how far its maps or its batch have come."""
    if run.state is RunState.PENDING and not run.unroutable_since:
        paused = await load_queue_pause(env.keys, env.keys.queue_name(run.queue))
        if paused is not None:
            return replace(shown, waits_for=_waits_for_queue(run, paused))
    waits_for_children = run.has_children and run.state is RunState.WAITING
    far = await progress(run, env) if waits_for_children else ""
    if far:
        return replace(shown, waits_for=f"{shown.waits_for}: {far}")
    if run.is_claimed and run.has_journal:
        return replace(shown, waits_for=await _batch_progress(run, env) or shown.waits_for)
    return shown


async def _batch_progress(run: Run, env: Env) -> str:
    """Say how far the batch has come that wrote into the run's journal last; empty for none."""
    written = await load_last_entry(env.keys, run.id)
    try:
        entry = None if written is None else Entry.read(written)
        if entry is None or entry.kind is not EntryKind.BATCH:
            return ""
        progress, _ = read_batch(entry.data)
    except MISREAD:
        return ""
    return "" if progress.is_done else f"batch {batch_name(entry.name)}: {progress}"


async def _load(run_id: str, env: Env) -> tuple[Run | None, dict[bytes, bytes]]:
    return await batch(load_run(env.keys, run_id), load_data(env.keys, run_id))


def state_of(run: Run) -> RunState:
    """Give the state of a run as callers see it."""
    is_stopping = run.stop is not None and not run.is_finished
    return RunState.CANCELLING if is_stopping else run.state


def status_of(run: Run, data: Mapping[bytes, bytes], live: Sequence[int] = ()) -> RunStatus:
    """
    Turn a run's record and data into what callers see.

    *live* are the versions of its runner that live workers have.
    """
    state = state_of(run)
    kept = KeptData(data, run)
    tried = read_tried(data.get(b"tried")) if data else None
    reason = kept.text(b"reason")
    if tried is not None and _is_handed_on(run):
        reason = tried.trials[-1].problem
    if reason is None and run.stop is not None:
        reason = run.stop.reason
    if run.state is RunState.PAUSED and run.pause is not None:
        reason = run.pause.reason or None
    return RunStatus(
        id=run.id,
        runner=run.runner,
        state=state,
        queue=run.queue,
        priority=priority_name(run.priority),
        step=run.step,
        attempt=max(1, run.failures + (0 if run.state is RunState.FAILED else 1)),
        crashes=run.crashes,
        generation=run.generation,
        headers=kept.headers(),
        tags=kept.tags(),
        lane=run.lane or None,
        group=run.group or None,
        payload=kept.value(b"payload"),
        result=kept.value(b"result"),
        error=kept.error(b"error"),
        reason=reason,
        compensation_errors=kept.errors(b"undo_errors"),
        waits_for=_waits_for(run, live, tried),
        worker=worker_of(run.token) or None,
        created_at=as_datetime(run.created_at),
        due_at=as_datetime(run.due_at),
        started_at=as_datetime(run.started_at),
        updated_at=as_datetime(run.updated_at),
        ended_at=as_datetime(run.ended_at),
        deadline_at=as_datetime(run.deadline_at),
        version=run.version,
        parent=kept.parent(),
        is_workflow=run.has_journal or run.state is RunState.WAITING,
        unreadable="; ".join(kept.problems) or None,
    )


def _is_handed_on(run: Run) -> bool:
    """Whether a run on which code was tried stands in the waiting list of another build."""
    return not run.is_claimed and run.state is RunState.PENDING and bool(run.unroutable_since)


def _waits_for_queue(run: Run, paused: PausedQueue) -> str:
    why = f": {paused.reason}" if paused.reason else ""
    return (
        f"somebody to resume queue {run.queue!r}; {paused.by or 'somebody'} paused it at "
        f"{in_words(paused.at)}{why}"
    )


def _waits_for(run: Run, live: Sequence[int], tried: Tried | None = None) -> str | None:
    """Say in words what a run that does not move waits for; *tried* is whose code was tried."""
    if run.is_finished or run.is_claimed:
        return None
    if run.state is RunState.PAUSED and run.pause is not None:
        who, at = run.pause.by or "somebody", in_words(run.pause.at)
        return f"somebody to resume it; {who} paused it at {at}"
    if tried is not None and _is_handed_on(run):
        return f"a worker whose code fits: tried by {tried.workers}"
    if run.unroutable_since:
        which = f" in version {run.version}" if run.version > 1 or set(live) - {1} else ""
        others = (
            f"live workers hold version {' and '.join(map(str, live))}"
            if live and run.version not in live
            else "none that came by did"
        )
        since = in_words(run.unroutable_since)
        return f"a worker that knows runner {run.runner!r}{which}; {others}, since {since}"
    if run.held and run.state is RunState.PENDING:
        from stepflow.core.limits.use import held_in_words  # noqa: PLC0415  few are

        return held_in_words(run.held)
    if run.damage:
        return f"somebody to repair it: {run.unreadable}"
    if run.state is RunState.PAUSED:
        return "somebody to resume it"
    if run.state is RunState.WAITING:
        until = f", until {in_words(run.due_at)}" if run.due_at else ""
        return f"{run.waits_for or 'its turn in the map of its parent'}{until}"
    if run.state is RunState.SCHEDULED and run.waits_for:
        return f"{run.waits_for}, until {in_words(run.due_at)}"
    if run.state is RunState.SCHEDULED:
        return f"its due time, {in_words(run.due_at)}"
    return f"a worker that listens to {run.queue!r}"

"""How runs look from outside: one run's status, listings a page at a time."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stepflow.core.ids import worker_of
from stepflow.core.run import ENDS, Run, RunState, RunStatus
from stepflow.engine.children import progress
from stepflow.engine.env import Env
from stepflow.engine.kept import KeptData
from stepflow.engine.versions import live_versions
from stepflow.errors import InvalidOption
from stepflow.errors import shown as in_short
from stepflow.store.calls import batch, batch_of, together
from stepflow.store.query import newest
from stepflow.store.runs import load_data, load_run
from stepflow.times import as_datetime, in_words, unix_time

#: index members looked at in one round trip of a listing
PAGE = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing, newest first; *cursor* continues it, None at its end."""

    runs: Sequence[RunStatus]
    cursor: str | None = None

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)


async def status(run_id: str, env: Env) -> RunStatus | None:
    """Read one run; None when none is kept."""
    run, data = await _load(run_id, env)
    if run is None:
        return None
    live = await live_versions(run.runner, env) if run.unroutable_since else ()
    return await with_progress(status_of(run, data, live), run, env)


async def with_progress(shown: RunStatus, run: Run, env: Env) -> RunStatus:
    """Add to a status how far the maps have come that the run waits for."""
    waits_for_children = run.has_children and run.state is RunState.WAITING
    far = await progress(run, env) if waits_for_children else ""
    return replace(shown, waits_for=f"{shown.waits_for}: {far}") if far else shown


async def _load(run_id: str, env: Env) -> tuple[Run | None, dict[bytes, bytes]]:
    return await batch(load_run(env.keys, run_id), load_data(env.keys, run_id))


def status_of(run: Run, data: Mapping[bytes, bytes], live: Sequence[int] = ()) -> RunStatus:
    """
    Turn a run's record and data into what callers see.

    *live* are the versions of its runner that live workers have.
    """
    state = run.state
    if run.stop is not None and not run.is_finished:
        state = RunState.CANCELLING
    kept = KeptData(data, run)
    reason = kept.text(b"reason")
    if reason is None and run.stop is not None:
        reason = run.stop.reason
    if run.state is RunState.PAUSED and run.pause is not None:
        reason = run.pause.reason or None
    return RunStatus(
        id=run.id,
        runner=run.runner,
        state=state,
        queue=run.queue,
        priority=run.priority.name.lower(),
        step=run.step,
        attempt=max(1, run.failures + (0 if run.state is RunState.FAILED else 1)),
        crashes=run.crashes,
        generation=run.generation,
        headers=kept.headers(),
        payload=kept.value(b"payload"),
        result=kept.value(b"result"),
        error=kept.error(b"error"),
        reason=reason,
        compensation_errors=kept.errors(b"undo_errors"),
        waits_for=_waits_for(run, live),
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


def _waits_for(run: Run, live: Sequence[int]) -> str | None:
    """Say in words what a run that does not move waits for."""
    if run.is_finished or run.is_claimed:
        return None
    if run.state is RunState.PAUSED and run.pause is not None:
        who, at = run.pause.by or "somebody", in_words(run.pause.at)
        return f"somebody to resume it; {who} paused it at {at}"
    if run.unroutable_since:
        which = f" in version {run.version}" if run.version > 1 or set(live) - {1} else ""
        others = (
            f"live workers hold version {' and '.join(map(str, live))}"
            if live and run.version not in live
            else "none that came by did"
        )
        since = in_words(run.unroutable_since)
        return f"a worker that knows runner {run.runner!r}{which}; {others}, since {since}"
    if run.damage:
        return f"somebody to repair it: {run.unreadable}"
    if run.state is RunState.PAUSED:
        return "somebody to resume it"
    if run.state is RunState.WAITING:
        until = f", until {in_words(run.due_at)}" if run.due_at else ""
        return f"{run.waits_for or 'its turn in the map of its parent'}{until}"
    if run.state is RunState.SCHEDULED:
        return f"its due time, {in_words(run.due_at)}"
    return f"a free worker on queue {run.queue!r}"


async def list_runs(
    env: Env,
    *,
    state: str | None = None,
    runner: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """
    List runs, newest submitted first, at most *limit*; *cursor* is that of the page before.

    Walks one index, or merges the four that make up all runs, and filters by the runs' records.
    """
    wanted = _read_state(state)
    indexes = _indexes(env, wanted, runner)
    before, seen = _read_cursor(cursor)
    found: list[RunStatus] = []
    while len(found) < limit:
        pages = await batch_of(
            [newest(index, before=before, count=PAGE + len(seen)) for index in indexes]
        )
        merged = list(heapq.merge(*pages, key=lambda item: -item[1]))
        # a run that ended between the reads of two indexes stands in both
        fresh = [item for item in dict.fromkeys(merged) if item[0] not in seen][:PAGE]
        if not fresh:
            return Page(found, None)
        rows = await together([_load(run_id, env) for run_id, _ in fresh])
        for (run_id, score), (run, data) in zip(fresh, rows, strict=True):
            seen = {*seen, run_id} if score == before else {run_id}
            before = score
            if run is None:
                continue
            shown = status_of(run, data)
            if (wanted is None or shown.state is wanted) and (
                runner is None or run.runner == runner
            ):
                found.append(shown)
            if len(found) == limit:
                return Page(found, f"{before:.6f}|{','.join(sorted(seen))}")
    return Page(found, None)


def _read_state(state: str | None) -> RunState | None:
    if state is None:
        return None
    try:
        return RunState(state)
    except ValueError:
        msg = f"state {state!r} is none of {', '.join(RunState)}"
        raise InvalidOption(msg) from None


def _indexes(env: Env, state: RunState | None, runner: str | None) -> list[str]:
    keys = env.keys
    if state is not None:
        return [keys.done_index(state) if state in ENDS else keys.live]
    if runner is not None:
        return [keys.runner_index(runner)]
    return [keys.live, *(keys.done_index(end) for end in ENDS)]


def _read_cursor(cursor: str | None) -> tuple[float | None, set[str]]:
    """
    Read a cursor.

    The last creation time seen, and the runs of that very time that were shown already.
    """
    if cursor is None:
        return None, set()
    try:
        moment, _, seen = cursor.partition("|")
        return unix_time(float(moment)), set(seen.split(","))
    except (ValueError, InvalidOption):
        msg = f"{in_short(cursor)} is no cursor of a listing"
        raise InvalidOption(msg) from None

"""How runs look from outside: one run's status, listings a page at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from stepflow.core.ids import worker_of
from stepflow.core.journal import MISREAD, Entry, EntryKind, batch_name, read_batch
from stepflow.core.run import ENDS, Run, RunState, RunStatus
from stepflow.core.tried import Tried
from stepflow.engine.children import progress
from stepflow.engine.env import Env
from stepflow.engine.kept import KeptData, read_tried
from stepflow.engine.spec import read_options
from stepflow.engine.versions import live_versions
from stepflow.errors import InvalidOption, StepflowError
from stepflow.errors import shown as in_short
from stepflow.store.calls import batch, batch_of
from stepflow.store.journal import load_last_entry
from stepflow.store.query import newest
from stepflow.store.runs import load_data, load_run, load_spec
from stepflow.store.steering.queues import PausedQueue, load_queue_pause
from stepflow.times import as_datetime, in_words, seconds, unix_time

#: index members looked at in one round trip of a listing
PAGE = 200
#: runs looked at for one page, where what is asked for has no index
MOST_SCANNED = 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """
    Part of a listing, newest first; *cursor* continues it, None at its end.

    A page may have fewer runs than were asked for, or none, and still a cursor: *scanned* runs were
    looked at for it.
    """

    runs: Sequence[RunStatus]
    cursor: str | None = None
    scanned: int = 0

    def __iter__(self) -> Iterator[RunStatus]:
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


async def statuses(run_ids: Sequence[str], env: Env) -> list[RunStatus]:
    """Read many runs without their data: no payload, result, error or headers."""
    runs = await batch_of([load_run(env.keys, run_id) for run_id in run_ids])
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
    if run.damage:
        return f"somebody to repair it: {run.unreadable}"
    if run.state is RunState.PAUSED:
        return "somebody to resume it"
    if run.state is RunState.WAITING:
        until = f", until {in_words(run.due_at)}" if run.due_at else ""
        return f"{run.waits_for or 'its turn in the map of its parent'}{until}"
    if run.state is RunState.SCHEDULED:
        return f"its due time, {in_words(run.due_at)}"
    return f"a worker that listens to {run.queue!r}"


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a listing gives; None or empty for whatever it is."""

    state: RunState | None = None
    runner: str | None = None
    queue: str | None = None
    #: the id of the run that began them
    parent: str | None = None
    #: only runs that no run began
    roots: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def reads_spec(self) -> bool:
        """Whether it asks for what only the spec of a run says."""
        return bool(self.parent or self.roots or self.headers)

    @property
    def is_rare(self) -> bool:
        """Whether no index is made for what it asks for, so that a page may take a long look."""
        return self.reads_spec or self.queue is not None

    def fits(self, run: Run) -> bool:
        """Say whether the record of a run is of this kind."""
        return (
            (self.state is None or state_of(run) is self.state)
            and (self.runner is None or run.runner == self.runner)
            and (self.queue is None or run.queue == self.queue)
        )

    def fits_spec(self, spec: bytes | None) -> bool:
        """Say whether what a run kept of its submit is of this kind; not if it cannot be read."""
        try:
            options = read_options(spec)
        except StepflowError:
            return False
        begun_by = None if options.parent is None else options.parent.run_id
        return (
            (self.parent is None or begun_by == self.parent)
            and not (self.roots and begun_by is not None)
            and all(options.headers.get(name) == value for name, value in self.headers.items())
        )


async def list_runs(
    env: Env,
    *,
    state: str | None = None,
    runner: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
    queue: str | None = None,
    parent: str | None = None,
    roots: bool = False,
    since: float | datetime | timedelta | None = None,
    headers: Mapping[str, str] | None = None,
) -> Page:
    """
    List runs, newest submitted first, at most *limit*; *cursor* is that of the page before.

    Walks one index, or merges the four that make up all runs, and filters by the runs' records.
    What has no index is looked for among MOST_SCANNED runs a page.
    """
    if parent is not None and roots:
        msg = "a listing was asked for the children of a run and for runs without a parent"
        raise InvalidOption(msg)
    wanted = RunFilter(_read_state(state), runner, queue, parent, roots, dict(headers or {}))
    indexes = _indexes(env, wanted.state, runner)
    before, seen = _read_cursor(cursor)
    after = await _since(since, parent, env)
    found: list[RunStatus] = []
    scanned = 0
    while len(found) < limit:
        if wanted.is_rare and scanned >= MOST_SCANNED:
            return Page(found, _write_cursor(before, seen), scanned)
        pages = await batch_of(
            [newest(index, before=before, count=PAGE + len(seen), since=after) for index in indexes]
        )
        merged = list(heapq.merge(*pages, key=lambda item: -item[1]))
        # a run that ended between the reads of two indexes stands in both
        fresh = [item for item in dict.fromkeys(merged) if item[0] not in seen][:PAGE]
        if not fresh:
            return Page(found, None, scanned)
        fitting = await _fitting([run_id for run_id, _ in fresh], wanted, env)
        for run_id, score in fresh:
            seen = {*seen, run_id} if score == before else {run_id}
            before, scanned = score, scanned + 1
            if run_id in fitting:
                found.append(status_of(*fitting[run_id]))
            if len(found) == limit:
                return Page(found, _write_cursor(before, seen), scanned)
    return Page(found, None, scanned)


async def _since(
    since: float | datetime | timedelta | None, parent: str | None, env: Env
) -> float | None:
    """Say from when on (unix seconds) runs may fit: a child was made after its parent."""
    if isinstance(since, timedelta):
        since = env.clock.now() - seconds(since, "since of a listing")
    earliest = None if since is None else unix_time(since, "since of a listing")
    owner = None if parent is None else await load_run(env.keys, parent)
    made_at = [] if owner is None else [owner.created_at]
    return max([*made_at, *([] if earliest is None else [earliest])], default=None)


async def _fitting(
    run_ids: Sequence[str], wanted: RunFilter, env: Env
) -> dict[str, tuple[Run, dict[bytes, bytes]]]:
    """Read those runs that *wanted* asks for: the data, which may be large, of these alone."""
    runs = await batch_of([load_run(env.keys, run_id) for run_id in run_ids])
    fitting = [run for run in runs if run is not None and wanted.fits(run)]
    if wanted.reads_spec and fitting:
        specs = await batch_of([load_spec(env.keys, run.id) for run in fitting])
        pairs = zip(fitting, specs, strict=True)
        fitting = [run for run, spec in pairs if wanted.fits_spec(spec)]
    if not fitting:
        return {}
    datas = await batch_of([load_data(env.keys, run.id) for run in fitting])
    return {run.id: (run, data) for run, data in zip(fitting, datas, strict=True)}


def _write_cursor(before: float | None, seen: set[str]) -> str:
    return f"{before:.6f}|{','.join(sorted(seen))}"


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
        msg = f"{in_short(cursor)} is not the cursor of a listing"
        raise InvalidOption(msg) from None

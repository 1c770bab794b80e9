"""
What becomes of a schedule whose time has come.

One call begins one run at most; where more is to be done at once, `due_at` of the answer is now.

    paused, or ended                        nothing
    the last run failed, pause_on_failure   it is paused
    times wait, and the last run has ended  the first of them runs
    nobody declares it any more             its times are left out: blocked
    times were missed                       as catch_up says; the rest is left out: missed
    the last run has not ended              as overlap says
    else                                    the run of the time begins
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from stepflow.core.schedules.rules import GRACE_S, MOST_BUFFERED, CatchUp, Overlap, Rules
from stepflow.core.schedules.state import (
    Decision,
    Firing,
    LastRun,
    Left,
    SchedulePause,
    ScheduleState,
)
from stepflow.core.schedules.times import between, jitter_of, newest, run_id_of

#: times in a row that one line of the history counts, and that one call buffers or leaves out
MOST_COUNTED = 1000
#: seconds that the times of a schedule wait for a worker that declares it
PATIENCE_S = 60.0
#: who paused a schedule that paused itself
ITSELF = "stepflow"


@dataclass(frozen=True, slots=True)
class _Schedule:
    """A schedule as one decision sees it."""

    id: str
    rules: Rules
    now: float

    def due_of(self, nominal: float) -> float:
        return nominal + jitter_of(self.id, nominal, self.rules.jitter_s)

    def left_out(self, times: Sequence[float], why: str) -> list[Firing]:
        """Write down that times have no run: one line for all of them."""
        if not times:
            return []
        return [Firing(times[-1], self.now, left=why, count=len(times))]


def decide_firing(
    schedule_id: str,
    rules: Rules,
    state: ScheduleState,
    *,
    last: LastRun,
    now: float,
    is_declared: bool = True,
) -> Decision:
    """
    Say what becomes of a schedule now; the table above has the order of precedence.

    Pure: the same arguments always give the same decision. *now* is unix seconds by the server's
    clock. *is_declared* says whether a live worker declares it, or nobody need.
    """
    if state.pause is not None or state.ended_at:
        return Decision(state)
    it = _Schedule(schedule_id, rules, now)
    if last is LastRun.FAILED and rules.pause_on_failure and state.judged != state.last_run:
        note = f"run {state.last_run} failed"
        paused = SchedulePause(ITSELF, note, now)
        return Decision(replace(state, pause=paused, judged=state.last_run))
    if state.buffer and last is not LastRun.LIVE:
        begun = replace(state, buffer=state.buffer[1:])
        return _begin(it, begun, state.buffer[0], [])
    if not is_declared:
        return _leave_blocked(it, state)
    state = replace(state, blocked_since=0.0)
    state, history = _leave_missed(it, state)
    for nominal in islice(_due(it, state), MOST_COUNTED):
        state = replace(state, through=nominal)
        if last is not LastRun.LIVE or rules.overlap is Overlap.ALLOW:
            return _begin(it, state, nominal, history)
        if rules.overlap is Overlap.CANCEL_OTHER:
            history += it.left_out(state.buffer, Left.OVERLAP)
            state = replace(state, buffer=(nominal,))
            continue
        why = _keeps_out(state, rules)
        if why:
            history += it.left_out([nominal], why)
        else:
            state = replace(state, buffer=(*state.buffer, nominal))
    cancel = state.last_run if state.buffer and rules.overlap is Overlap.CANCEL_OTHER else ""
    return _settle(it, state, history, cancel=cancel)


def catch_up_after_pause(
    schedule_id: str, rules: Rules, state: ScheduleState, now: float, *, is_asked: bool
) -> Decision:
    """
    Take up a paused schedule: what the pause left out is missed, or made up for if *is_asked*.

    Made up for as the schedule's own rules say.
    """
    it = _Schedule(schedule_id, rules, now)
    state = replace(state, pause=None)
    history: list[Firing] = []
    if not is_asked:
        times = _counted(it, state.through, now)
        history = it.left_out(times, Left.PAUSED)
        state = replace(state, through=max(state.through, now))
    settled = _settle(it, state, history)
    return replace(settled, due_at=now) if state.buffer else settled


def stand(schedule_id: str, rules: Rules, state: ScheduleState, now: float) -> Decision:
    """Say when somebody is to look at a schedule that was just written."""
    return _settle(_Schedule(schedule_id, rules, now), state, [])


def _due(it: _Schedule, state: ScheduleState) -> Sequence[float]:
    until = min(it.now, it.rules.until or it.now)
    times = islice(between(it.rules.times, state.through, until), MOST_COUNTED)
    due = [nominal for nominal in times if it.due_of(nominal) <= it.now]
    room = it.rules.max_runs - state.runs - len(state.buffer) if it.rules.max_runs else None
    return due if room is None else due[: max(0, room)]


def _keeps_out(state: ScheduleState, rules: Rules) -> str:
    """Say why a time may not wait for the end of the run before it; empty when it may."""
    match rules.overlap:
        case Overlap.BUFFER_ONE:
            return Left.OVERLAP if state.buffer else ""
        case Overlap.BUFFER_ALL:
            return Left.FULL if len(state.buffer) >= MOST_BUFFERED else ""
        case _:
            return Left.OVERLAP


def _leave_missed(it: _Schedule, state: ScheduleState) -> tuple[ScheduleState, list[Firing]]:
    """Leave out the times that are too late, as `catch_up` says."""
    rules = it.rules
    until = min(it.now, rules.until or it.now)
    within_s = (
        min(rules.catch_up_within_s, GRACE_S)
        if rules.catch_up is CatchUp.NONE
        else (rules.catch_up_within_s)
    )
    # a time whose run is not due yet, for its jitter, is not the newest that was missed
    last = newest(rules.times, state.through, until)
    while last is not None and it.due_of(last) > it.now:
        last = newest(rules.times, state.through, last - 1)
    if last is None:
        return state, []
    kept_from = last if rules.catch_up is not CatchUp.ALL else state.through
    through = max(state.through, kept_from - 1, min(last, it.now - within_s - rules.jitter_s - 1))
    times = _counted(it, state.through, through)
    if not times:
        return state, []
    return replace(state, through=through), it.left_out(times, Left.MISSED)


def _leave_blocked(it: _Schedule, state: ScheduleState) -> Decision:
    """
    Leave out what nobody declares any more.

    For a while the times wait: a worker that declares them may just be starting again.
    """
    times = _counted(it, state.through, min(it.now, it.rules.until or it.now))
    if not times:
        return _settle(it, state, [])
    since = state.blocked_since or it.now
    blocked = replace(state, blocked_since=since)
    if it.now - since < PATIENCE_S:
        return Decision(blocked, due_at=since + PATIENCE_S)
    return _settle(
        it, replace(blocked, through=max(state.through, it.now)), it.left_out(times, Left.BLOCKED)
    )


def _counted(it: _Schedule, start: float, until: float) -> list[float]:
    """
    Give the times in between that are left out, or their first and their last where they are many.

    So the history says "1000 times" of a gap of a year.
    """
    times = list(islice(between(it.rules.times, start, until), MOST_COUNTED))
    if len(times) < MOST_COUNTED:
        return times
    last = newest(it.rules.times, start, until)
    return [*times[:-1], times[-1] if last is None else last]


def _begin(it: _Schedule, state: ScheduleState, nominal: float, history: list[Firing]) -> Decision:
    run_id = run_id_of(it.id, nominal)
    begun = replace(state, last_run=run_id, last_nominal=nominal, runs=state.runs + 1)
    settled = _settle(it, begun, [*history, Firing(nominal, it.now, run_id)])
    return replace(settled, run_for=nominal)


def _settle(
    it: _Schedule, state: ScheduleState, history: Sequence[Firing], *, cancel: str = ""
) -> Decision:
    """Say when somebody is to look again; a schedule that has no further times has ended."""
    is_over = 0 < it.rules.max_runs <= state.runs + len(state.buffer)
    following = None if is_over else it.rules.next_after(state.through)
    if following is None and not state.buffer:
        return Decision(replace(state, ended_at=it.now), history=history, cancel=cancel)
    due_at = None if following is None else it.due_of(following)
    return Decision(state, due_at=due_at, history=history, cancel=cancel)

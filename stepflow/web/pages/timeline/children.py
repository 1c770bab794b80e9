"""Children in the timeline of their parent: those of a map as a row each, by their status alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stepflow.core.run import RunState, RunStatus
from stepflow.engine.timeline import StepKind, StepState, Trace
from stepflow.web.pages.timeline.model import Look, Row, Segment, Window
from stepflow.web.pages.timeline.workflow import unix

#: rows that an opened map has
MOST_OF_MAP = 50
#: what a reader of a map wants to see first
_ORDER = (
    RunState.FAILED, RunState.CANCELLED, RunState.PAUSED, RunState.CANCELLING, RunState.RUNNING,
    RunState.WAITING, RunState.SCHEDULED, RunState.PENDING, RunState.SUCCEEDED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Children:
    """The children that a timeline shows: by their steps, and those of a map by their status."""

    traces: Mapping[str, Trace] = field(default_factory=dict)
    #: by the id of the map
    of_maps: Mapping[str, Sequence[RunStatus]] = field(default_factory=dict)


def that_matter(runs: Sequence[RunStatus]) -> Sequence[RunStatus]:
    """Choose from the children of a map those that a row is worth: what failed, what goes on."""
    return sorted(runs, key=lambda run: _ORDER.index(run.state))[:MOST_OF_MAP]


def run_row(run: RunStatus, window: Window, depth: int) -> Row:
    """Make the row of a child of a map."""
    created, started = unix(run.created_at), unix(run.started_at)
    end = unix(run.ended_at) or window.last
    is_live = window.is_live and not run.is_finished
    look = Look.FAILED if run.state is RunState.FAILED else Look.CHILD
    found = [Segment(Look.START, created, started or end, "waited to start", not started)]
    if started:
        found.append(Segment(look, started, end, str(run.state), is_live))
    clipped = (window.clip(segment) for segment in found)
    return Row(
        f"{run.id}|run", StepKind.CHILD, run.id.rpartition("-")[2], StepState(run.state.value),
        [segment for segment in clipped if segment is not None],
        took_s=end - started if started and run.is_finished else None, run_id=run.id, depth=depth,
        is_live=is_live, is_foreign=True,
    )  # fmt: skip

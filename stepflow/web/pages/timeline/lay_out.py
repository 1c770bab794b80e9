"""`lay_out`: a trace as rows on a scale, ready to be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from stepflow.engine.timeline import StepKind, Trace
from stepflow.web.pages.timeline.activations import lead_row
from stepflow.web.pages.timeline.breakdown import Share, breakdown
from stepflow.web.pages.timeline.bundles import Bundled, bundle_row, bundled, opened
from stepflow.web.pages.timeline.children import Children, run_row
from stepflow.web.pages.timeline.model import BUSY, Item, Row, Shown, Window
from stepflow.web.pages.timeline.runner import RunnerSteps
from stepflow.web.pages.timeline.scale import Scale, Stretch
from stepflow.web.pages.timeline.workflow import WorkflowSteps, unix

#: how deep children are opened in one another
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """A timeline: its rows from top to bottom, and where the time went."""

    lead: Row
    rows: Sequence[Row]
    scale: Scale
    window: Window
    shares: Sequence[Share]
    #: how many steps the rows stand for
    count: int


def lay_out(trace: Trace, now: float, shown: Shown, children: Children | None = None) -> Layout:
    """
    Lay out the timeline of a run as it is at *now*, in unix seconds.

    *children* are those that are to be shown.
    """
    window = window_of(trace, now)
    lead = lead_row(trace, window)
    steps = steps_of(trace, window, shown)
    items = steps.items()
    rows = list(
        _rows(
            steps, bundled(items, has_names=steps.has_names), window, shown, children or Children()
        )
    )
    own = [lead, *(row for row in rows if not row.is_foreign)]
    segments = [segment for row in own for segment in row.segments]
    scale = Scale.of(_busy(lead, rows), window.first, window.last, is_true=shown.is_true)
    return Layout(lead, rows, scale, window, breakdown(segments, window), len(items))


def steps_of(trace: Trace, window: Window, shown: Shown) -> WorkflowSteps | RunnerSteps:
    """Choose who makes the rows of a run."""
    return (WorkflowSteps if trace.is_workflow else RunnerSteps)(trace, window, shown)


def window_of(trace: Trace, now: float) -> Window:
    """Say which time the timeline of a run shows: from its submit, or its last restart, on."""
    run = trace.run
    restarts = [unix(step.ended_at) for step in trace.steps if step.kind is StepKind.RESTART]
    first = max([unix(run.created_at), *restarts])
    last = unix(run.ended_at) if run.is_finished else now
    return Window(first, max(last, first), is_live=not run.is_finished)


def _rows(
    steps: WorkflowSteps | RunnerSteps,
    entries: Sequence[Item | Bundled],
    window: Window,
    shown: Shown,
    children: Children,
    depth: int = 0,
) -> Iterator[Row]:
    for entry in entries:
        if isinstance(entry, Bundled):
            is_opened = entry.key in shown.opened
            yield bundle_row(entry, window, depth=depth, is_opened=is_opened)
            if is_opened:
                yield from _rows(steps, opened(entry), window, shown, children, depth + 1)
            continue
        row = steps.row(entry, depth)
        is_opened = row.opens in shown.opened
        child = children.traces.get(row.run_id or "") if is_opened else None
        of_map = children.of_maps.get(row.run_id or "", ()) if is_opened else ()
        yield replace(row, is_opened=child is not None or bool(of_map))
        for run in of_map:
            yield run_row(run, window, depth + 1)
        if child is not None and depth < _DEEPEST:
            yield from _child_rows(child, window, shown, children, depth + 1)


def _child_rows(
    child: Trace, window: Window, shown: Shown, children: Children, depth: int
) -> Iterator[Row]:
    """Give the rows of a child, in the time of the run that it belongs to."""
    inside = replace(window_of(child, window.last), last=window.last)
    inside = replace(inside, first=max(inside.first, window.first))
    steps = steps_of(child, inside, shown)
    for row in _rows(
        steps, bundled(steps.items(), has_names=steps.has_names), inside, shown, children, depth
    ):
        yield replace(
            row, key=f"{child.run.id}|{row.key}", run_id=row.run_id or child.run.id,
            is_foreign=True,
        )  # fmt: skip


def _busy(lead: Row, rows: Sequence[Row]) -> Iterator[Stretch]:
    for row in (lead, *rows):
        for segment in row.segments:
            if segment.look in BUSY:
                yield segment.start, segment.end
        for mark in row.marks:
            yield mark.at, mark.at

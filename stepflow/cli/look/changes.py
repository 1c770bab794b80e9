"""What has changed in a run since somebody looked last."""

from __future__ import annotations

from datetime import UTC, datetime

from stepflow.cli.look.words import clock_time, shown_steps, told
from stepflow.engine.timeline import StepStatus, Timeline


class Changes:
    """Remembers what was told of one run."""

    def __init__(self) -> None:
        self._told: dict[tuple[object, ...], object] = {}
        self._restarts = 0

    def of(self, timeline: Timeline) -> list[StepStatus]:
        """Give the steps that are new or have come further, in their order."""
        if timeline.restarts != self._restarts:
            self._told, self._restarts = {}, timeline.restarts
        found: list[StepStatus] = []
        count: dict[tuple[object, ...], int] = {}
        for step in shown_steps(timeline, everything=False):
            if not step.name and step.is_open:
                continue  # under way, with nothing known of it
            place = (step.kind, step.place, step.number, step.outcome and step.ended_at)
            count[place] = number = count.get(place, 0) + 1
            now = (step.state, step.attempt, step.done)
            if self._told.get((*place, number)) != now:
                self._told[(*place, number)] = now
                found.append(step)
        return found


def line_of(step: StepStatus) -> str:
    """Write a change of a step as a line, with its time of day."""
    now = datetime.now(UTC)
    at = step.ended_at if not step.is_open and step.ended_at else now
    return f"{clock_time(at, at)}  {told(step, now)}"

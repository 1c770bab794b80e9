"""What is wrong with what begins a definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow.errors import InvalidExpression
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.values.expressions import names_in
from stepflow.kits.definition.values.templates import references_in


def trigger_faults(trigger: Any, data: Mapping[str, Any]) -> Iterator[tuple[Way, str]]:
    """Say what is wrong with one trigger besides its form, each with the way to it."""
    if not isinstance(trigger, dict):
        return
    point, points = trigger.get("entry_point"), data.get("entry_points")
    if isinstance(point, str) and not (isinstance(points, dict) and point in points):
        yield ("entry_point",), f"there is no entry point {point!r}"
    for field in ("input", "run"):
        for way, reference in references_in(trigger.get(field)):
            if reference.root != "event" or trigger.get("on") == "schedule":
                yield (field, *way), f"{reference.written}: a trigger knows only what came: event"
    is_schedule = trigger.get("on") == "schedule"
    if is_schedule and (trigger.get("cron") is None) == (trigger.get("every") is None):
        yield (), "a schedule has either cron or every"
    if (trigger.get("signal") is None) != (trigger.get("run") is None):
        yield (), "signal and run belong together: which signal, and to which run"
    yield from _filter(trigger.get("filter"))


def _filter(expression: Any) -> Iterator[tuple[Way, str]]:
    if not isinstance(expression, str):
        return
    try:
        for way in names_in(expression):
            if way[0] != "event":
                yield ("filter",), f"expression {expression!r}: it knows only what came: event"
    except InvalidExpression as error:
        yield ("filter",), str(error)

"""What a run of a definition is given: the definition itself, as it was then, and its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.core.graphs.definitions import RUNNER
from stepflow.engine.spec import RunSpec
from stepflow.engine.user_code.schema import misfit
from stepflow.errors import InvalidOption, did_you_mean
from stepflow.kits.definition.model import Definition

#: the tag by which lists find the runs of one
TAG = "definition"


def payload_of(
    definition: Definition, given: Any = None, entry_point: str | None = None
) -> dict[str, Any]:
    """
    Make the payload of a run.

    Raises InvalidOption for an input that does not fit, and for an entry point that there is not.
    """
    if definition.input is not None:
        problem = misfit(given, definition.input)
        if problem is not None:
            raise InvalidOption(f"the input of definition {definition.name!r} is wrong: {problem}")
    if entry_point is not None and entry_point not in definition.entry_points:
        points = list(definition.entry_points)
        known = did_you_mean(entry_point, points) or f"; it has {', '.join(points) or 'none'}"
        raise InvalidOption(
            f"definition {definition.name!r} has no entry point {entry_point!r}{known}"
        )
    plain = definition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"definition": plain, "input": given, "entry_point": entry_point}


def spec_of(
    definition: Definition,
    given: Any = None,
    entry_point: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> RunSpec:
    """Make the run; *options* are those of `submit`. Raises InvalidOption."""
    kept = dict(options or {})
    tags = {TAG: definition.name, **(kept.pop("tags", None) or {})}
    for name in ("headers", "limits", "units"):
        if name in kept:
            kept[name] = kept[name] or {}
    return RunSpec(RUNNER, payload_of(definition, given, entry_point), tags=tags, **kept)

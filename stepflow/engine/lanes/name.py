"""Which lane of a fair queue a run waits in: what its submit says, or a header or tag of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.engine.spec import RunSpec
from stepflow.errors import InvalidOption, shown

#: the lane of runs of a fair queue that do not say whose they are
COMMON = "-"
#: bytes that the name of a lane may have: a longer field would make the record three times as large
MOST_BYTES = 64


def check_lane(name: object) -> str:
    """Return *name* if it can name a lane, else raise InvalidOption."""
    if (
        isinstance(name, str)
        and name.isprintable()
        and 0 < len(name.encode("utf-8", "replace")) <= MOST_BYTES
    ):
        return name
    msg = f"lane {shown(name)} is not 1 to {MOST_BYTES} bytes of printable text; use a short id"
    raise InvalidOption(msg)


def lane_of(spec: RunSpec, env: Env) -> str:
    """
    Name the lane of a run to submit, empty for one of a queue that is not fair.

    Raises InvalidOption for what can be no name.
    """
    if spec.lane is not None:
        return check_lane(spec.lane)
    rule = env.settings.queues.fair.get(spec.queue)
    if rule is None:
        return ""
    found = _found(spec, rule)
    return check_lane(found) if found else COMMON


def _found(spec: RunSpec, rule: str) -> str | None:
    kind, _, name = rule.partition(".")
    held: Mapping[str, str] = spec.tags if kind == "tag" else spec.headers
    return held.get(name)


def with_lane_of(spec: RunSpec, parent: Run, env: Env) -> RunSpec:
    """Have a child wait in the lane of its parent, on the same or a fair queue, if it says none."""
    if not parent.lane or spec.lane is not None:
        return spec
    rule = env.settings.queues.fair.get(spec.queue)
    if (rule is None and spec.queue != parent.queue) or (rule and _found(spec, rule)):
        return spec
    return replace(spec, lane=parent.lane)

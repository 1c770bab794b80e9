"""The rows of the table of operations that are about lanes."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow.engine.lanes.look import LaneInfo
from stepflow.errors import InvalidName, InvalidOption
from stepflow.web.lanes import handlers
from stepflow.web.lanes.given import LaneWeight, LaneWindow
from stepflow.web.operation import Operation

_AT = "/queues/{queue}"


@dataclass(frozen=True, slots=True)
class LaneWeighed:
    """The weight that a lane has now."""

    queue: str
    lane: str
    weight: float


@dataclass(frozen=True, slots=True)
class WindowSet:
    """The window that a queue has now; null for the usual one."""

    queue: str
    window: int | None


LANES = (
    Operation(
        "GET", f"{_AT}/lanes", handlers.list_lanes, "List the lanes of a fair queue",
        list[LaneInfo], problems=(InvalidName,),
    ),
    Operation(
        "PUT", f"{_AT}/lanes", handlers.set_weight, "Set the weight of a lane", LaneWeighed,
        right="set-weight", body=LaneWeight, problems=(InvalidName, InvalidOption),
    ),
    Operation(
        "PUT", f"{_AT}/window", handlers.set_window, "Set the window of a fair queue", WindowSet,
        right="set-window", body=LaneWindow, problems=(InvalidName, InvalidOption),
    ),
)  # fmt: skip

"""The rows of the table of operations that are about shared values."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow.engine.shared.verbs import SharedValueInfo
from stepflow.errors import InvalidOption
from stepflow.web.operation import Operation
from stepflow.web.shared import handlers
from stepflow.web.shared.given import DropShared, SharedQuery


@dataclass(frozen=True, slots=True)
class SharedDropped:
    """How many values were dropped."""

    name: str
    dropped: int


SHARED = (
    Operation(
        "GET", "/shared", handlers.list_shared_names, "List the steps with shared values",
        list[str],
    ),
    Operation(
        "GET", "/shared/{shared_step}", handlers.list_shared, "List the shared values of a step",
        list[SharedValueInfo], query=SharedQuery, problems=(InvalidOption,),
    ),
    Operation(
        "POST", "/shared/{shared_step}/drop", handlers.drop_shared, "Drop shared values of a step",
        SharedDropped, right="drop-shared", body=DropShared, problems=(InvalidOption,),
    ),
)  # fmt: skip

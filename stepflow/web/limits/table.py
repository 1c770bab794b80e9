"""The rows of the table of operations that are about limits."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow.engine.limits.info import LimitInfo
from stepflow.errors import InvalidName, InvalidOption, LimitNotFound
from stepflow.web.limits import handlers
from stepflow.web.limits.given import SetLimit
from stepflow.web.models import Nothing
from stepflow.web.operation import Operation

_AT = "/limits/{limit}"


@dataclass(frozen=True, slots=True)
class LimitChanged:
    """Whether anything was changed."""

    limit: str
    changed: bool


LIMITS = (
    Operation("GET", "/limits", handlers.list_limits, "List limits", list[LimitInfo]),
    Operation(
        "GET", _AT, handlers.show_limit, "Show a limit", LimitInfo,
        problems=(LimitNotFound, InvalidName, InvalidOption),
    ),
    Operation(
        "PUT", _AT, handlers.set_limit, "Set bounds of a limit", LimitInfo, right="set-limit",
        body=SetLimit, problems=(InvalidName, InvalidOption),
    ),
    Operation(
        "POST", f"{_AT}/unset", handlers.unset_limit, "Have the bounds of the code count again",
        LimitChanged, right="unset-limit", body=Nothing,
        problems=(LimitNotFound, InvalidName, InvalidOption),
    ),
    Operation(
        "POST", f"{_AT}/reset", handlers.reset_limit, "Forget what has begun of a limit",
        LimitChanged, right="reset-limit", body=Nothing,
        problems=(LimitNotFound, InvalidName, InvalidOption),
    ),
)  # fmt: skip

"""The rows of the table of operations that are about breakers."""

from __future__ import annotations

from stepflow.engine.breakers.info import BreakerInfo
from stepflow.errors import BreakerNotFound, InvalidOption
from stepflow.web.breakers import handlers
from stepflow.web.breakers.given import BreakersQuery, OpenBreaker
from stepflow.web.models import Nothing
from stepflow.web.operation import Operation
from stepflow.web.problems import Problem

_ONE: tuple[Problem, ...] = (BreakerNotFound,)
_AT = "/breakers/{breaker}"

BREAKERS = (
    Operation(
        "GET", "/breakers", handlers.list_breakers, "List circuit breakers", list[BreakerInfo],
        query=BreakersQuery,
    ),
    Operation(
        "GET", _AT, handlers.show_breaker, "Show a circuit breaker", BreakerInfo, problems=_ONE
    ),
    Operation(
        "POST", f"{_AT}/open", handlers.open_breaker, "Open a circuit breaker", BreakerInfo,
        right="open-breaker", body=OpenBreaker, problems=(InvalidOption,),
    ),
    Operation(
        "POST", f"{_AT}/close", handlers.close_breaker, "Close a circuit breaker", BreakerInfo,
        right="close-breaker", body=Nothing, problems=_ONE,
    ),
    Operation(
        "POST", f"{_AT}/reset", handlers.reset_breaker, "Close a circuit breaker and its counts",
        BreakerInfo, right="reset-breaker", body=Nothing, problems=_ONE,
    ),
)  # fmt: skip

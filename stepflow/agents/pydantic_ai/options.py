"""How a unit, one call of an agent, is carried out: the options of `Durable` and of each tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypedDict, cast

from pydantic_ai.durable_exec import DurableOperationId
from pydantic_ai.toolsets import ToolsetTool

from stepflow.core.backoff import RetryPolicy, check_policy
from stepflow.core.breakers.breaker import Breaker
from stepflow.core.limits.limit import StepLimit, requests_of
from stepflow.errors import InvalidOption, did_you_mean, shown
from stepflow.times import seconds

#: the key of a tool's metadata that has its options
METADATA = "stepflow"


class UnitOptions(TypedDict, total=False):
    """
    The options of one unit.

    *timeout* (seconds or timedelta) limits one attempt. *compensate* is called with what the tool
    returned if the run fails or is cancelled later. While *breaker* is open the unit waits. A tool
    with *queue* is called by a worker of that queue, one with *limit* as a run that counts against
    it. A model request asks for its *limit* as a step does, one for all models or a dict by their
    names; one with `units=` counts tokens. *ask*
    is what people are asked when the call needs their approval: "Refund {amount}?", with the names
    of the tool's parameters.
    """

    retry: RetryPolicy | None
    timeout: float | timedelta | None
    compensate: Callable[[Any], Any] | None
    breaker: Breaker | None
    queue: str
    limit: str | StepLimit | Mapping[str, StepLimit]
    ask: str


def checked(options: Mapping[str, Any], what: str) -> UnitOptions:
    """Return *options* if they can be those of a unit; raises InvalidOption, which names *what*."""
    known = list(UnitOptions.__annotations__)
    for name in options:
        if name not in known:
            msg = (
                f"{what} has {shown(name)}; it takes {', '.join(known)}{did_you_mean(name, known)}"
            )
            raise InvalidOption(msg)
    if options.get("retry") is not None:
        check_policy(options["retry"], what)
    if options.get("timeout") is not None:
        seconds(options["timeout"], f"timeout of {what}")
    _check_limit(options.get("limit"), what)
    return cast("UnitOptions", dict(options))


def _check_limit(limit: Any, what: str) -> None:
    for each in limit.values() if isinstance(limit, Mapping) else (limit,):
        if not isinstance(each, str | None):
            requests_of(each, what)


def limit_of_model(options: UnitOptions, name: str) -> StepLimit | None:
    """Return the limit that requests of model *name* ask for."""
    limit = options.get("limit")
    return cast("StepLimit | None", limit.get(name) if isinstance(limit, Mapping) else limit)


def is_remote(options: Mapping[str, Any]) -> bool:
    """Whether a tool with these options is called as a run of its own."""
    return bool(options.get("queue") or options.get("limit"))


def prompt_in(metadata: Mapping[str, Any] | None) -> str | None:
    """Return what people are asked about a tool by its metadata."""
    own = (metadata or {}).get(METADATA)
    return own.get("ask") if isinstance(own, Mapping) else None


def of_tool(base: UnitOptions, tool: object | None, name: str) -> UnitOptions | Literal[False]:
    """Return the options of a tool: *base* and what its metadata says; False for none at all."""
    if not isinstance(tool, ToolsetTool):
        return base
    own = (tool.tool_def.metadata or {}).get(METADATA, {})
    if own is False:
        return False
    if not isinstance(own, Mapping):
        msg = f"metadata[{METADATA!r}] of tool {name!r} is {shown(own)}; write a dict, or False"
        raise InvalidOption(msg)
    return {**base, **checked(own, f"metadata[{METADATA!r}] of tool {name!r}")} if own else base


class OptionsOf:
    """The options of each operation of an agent, by what it does."""

    def __init__(self, *, model: UnitOptions, tools: UnitOptions, other: UnitOptions) -> None:
        self._by_role = {"model": model, "tool": tools}
        self._other = other

    def base(self, role: str, *, operation_id: DurableOperationId) -> UnitOptions:  # noqa: ARG002  of the protocol
        return self._by_role.get(role, self._other)

    def for_tool(
        self, role: str, *, operation_id: DurableOperationId, tool: object | None, tool_name: str
    ) -> UnitOptions | Literal[False]:
        return of_tool(self.base(role, operation_id=operation_id), tool, tool_name)

"""`ctx.tool_loop` and `ctx.route` of a plain workflow: as `Context`'s, but they block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from stepflow.kits.flow.calls.agents import RouteOptions, ToolLoopOptions
from stepflow.kits.flow.calls.blocking import Blocking

if TYPE_CHECKING:
    from stepflow.agents.providers.model import Message, Provider
    from stepflow.agents.tools.loop import ToolLoopResult
    from stepflow.agents.tools.tool import Tool

D = TypeVar("D")


class SyncAgentCalls(Blocking):
    """What `stepflow.agents` gives to every `ctx`."""

    def tool_loop(
        self,
        provider: Provider,
        tools: Sequence[Callable[..., Any] | Tool],
        prompt: str | Sequence[Message],
        **options: Unpack[ToolLoopOptions],
    ) -> ToolLoopResult:
        """Have a model call *tools* until it needs no more; see `Context.tool_loop`."""
        result: ToolLoopResult = self._wait(self._of.tool_loop, provider, tools, prompt, **options)
        return result

    def route(
        self,
        provider: Provider,
        text: str,
        routes: Mapping[str, str],
        *,
        default: D = None,  # type: ignore[assignment]  # of type None then
        **options: Unpack[RouteOptions],
    ) -> str | D:
        """Have a model choose one of *routes*; see `Context.route`."""
        chosen: str | D = self._wait(
            self._of.route, provider, text, routes, default=default, **options
        )
        return chosen

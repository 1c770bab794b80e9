"""`ctx.tool_loop` and `ctx.route`: models that call tools and choose ways, each call a step."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, cast

from stepflow.core.backoff import RetryPolicy
from stepflow.kits.flow.calls.base import ContextBase

if TYPE_CHECKING:
    from stepflow.agents.providers.calls import WorkflowCalls
    from stepflow.agents.providers.model import Message, Provider
    from stepflow.agents.tools.loop import ToolLoopResult
    from stepflow.agents.tools.tool import Tool
    from stepflow.core.budgets.budget import Budget
    from stepflow.core.limits.limit import Limit, LimitRequest

D = TypeVar("D")


class ToolLoopOptions(TypedDict, total=False):
    """The options of `ctx.tool_loop`."""

    system: str | None
    max_rounds: int
    concurrency: int
    max_tokens: int | None
    retry: RetryPolicy | None
    timeout: float | timedelta | None
    stream: bool
    notify: Callable[[str], Any] | None
    budget: Budget | Sequence[Budget] | None
    limit: Limit | LimitRequest | Sequence[Limit | LimitRequest] | None


class RouteOptions(TypedDict, total=False):
    """The options of `ctx.route`."""

    key: str | None
    retry: RetryPolicy | None
    timeout: float | timedelta | None
    max_tokens: int | None
    budget: Budget | Sequence[Budget] | None
    limit: Limit | LimitRequest | Sequence[Limit | LimitRequest] | None


class AgentCalls(ContextBase):
    """What `stepflow.agents` gives to every `ctx`; loaded when you first use it."""

    def tool_loop(
        self,
        provider: Provider,
        tools: Sequence[Callable[..., Any] | Tool],
        prompt: str | Sequence[Message],
        **options: Unpack[ToolLoopOptions],
    ) -> Coroutine[Any, Any, ToolLoopResult]:
        """
        Have a model call *tools* until it needs no more of them, and return what it says.

        Each call of the model (`model`) and of a tool (by its name) is a step. Read-only tools that
        the model wants one after the other run side by side, *concurrency* (5) at once; any other
        runs alone. The model is told what came of each, in the order in which it asked: a value, or
        what was wrong with the arguments, the tool's error, that people declined.

        *max_rounds* (10) is how often the model may answer. *system* comes before the prompt,
        *max_tokens* limits an answer, *retry* and *timeout* are those of the model's steps. With
        *stream* its words go out under topic `model`. *notify* is called with the token of each
        question that a tool has people asked, as by `ctx.ask`. The model's calls spend of *budget*,
        a Budget or several, which needs *max_tokens*. *limit* is asked for by each of them, as by a
        step; one with `units=` counts tokens.

        Raises TooManyRounds, and StepFailed where the model could not be asked.
        """
        from stepflow.agents.tools.loop import LoopOptions, ToolLoop  # noqa: PLC0415  wanted by few

        self._activation.check_caller()
        calls = cast("WorkflowCalls", self)
        running = ToolLoop(calls, provider, tools, prompt, LoopOptions(**options)).run()
        self._activation.give_out(running)
        return running

    def route(
        self,
        provider: Provider,
        text: str,
        routes: Mapping[str, str],
        *,
        default: D = None,  # type: ignore[assignment]  # of type None then
        **options: Unpack[RouteOptions],
    ) -> Coroutine[Any, Any, str | D]:
        """
        Have a model choose one of *routes* for *text*: `{"refund": "wants money back", ...}`.

        Returns its name; *default* when the model says that none fits, says something else, or the
        text is empty. One step, found by *key*, by default by the text and the routes. The other
        options are those of `tool_loop`.
        """
        from stepflow.agents.route import check_routes, choose_route  # noqa: PLC0415  wanted by few

        self._activation.check_caller()
        check_routes(provider, routes)

        async def choose() -> str | D:
            calls = cast("WorkflowCalls", self)
            chosen = await choose_route(calls, provider, text, routes, options)
            return default if chosen is None else chosen

        running = choose()
        self._activation.give_out(running)
        return running

"""`ctx.tool_loop`: ask a model, call the tools that it wants, tell it what came of them, again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from stepflow.agents.budgets.charging import charged
from stepflow.agents.providers.calls import StepCaller, WorkflowCalls, complete
from stepflow.agents.providers.model import (
    Completion,
    CompletionRequest,
    LedgerEntry,
    Message,
    Provider,
    Usage,
)
from stepflow.agents.tools.calling import ToolCaller
from stepflow.agents.tools.errors import AnswerCutOff, TooManyRounds
from stepflow.agents.tools.tool import Tool, as_tool
from stepflow.core.backoff import RetryPolicy, check_policy
from stepflow.core.budgets.budget import Budget
from stepflow.core.limits.limit import StepLimit, requests_of
from stepflow.errors import InvalidOption, shown


@dataclass(frozen=True, slots=True)
class ToolLoopResult:
    """
    What a tool loop came to.

    *messages* is the whole conversation, which another loop may go on with; *rounds* how often the
    model was called, but for what `Resilient` did in between; that stands in *ledger*.
    """

    text: str
    messages: tuple[Message, ...]
    rounds: int
    usage: Usage
    ledger: tuple[LedgerEntry, ...]


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """How a loop goes about it; see `ctx.tool_loop`."""

    system: str | None = None
    max_rounds: int = 10
    concurrency: int = 5
    max_tokens: int | None = None
    retry: RetryPolicy | None = None
    timeout: float | timedelta | None = None
    stream: bool = False
    notify: Callable[[str], Any] | None = None
    budget: Budget | Sequence[Budget] | None = None
    limit: StepLimit | None = None

    def __post_init__(self) -> None:
        for name in ("max_rounds", "concurrency"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                msg = f"{name} of ctx.tool_loop is {shown(value)}; it is a whole number from 1"
                raise InvalidOption(msg)
        if self.retry is not None:
            check_policy(self.retry, "ctx.tool_loop")
        if self.limit is not None:
            requests_of(self.limit, "ctx.tool_loop")


class ToolLoop:
    """One loop; raises InvalidOption for what cannot be begun."""

    def __init__(
        self,
        ctx: WorkflowCalls,
        provider: object,
        tools: Sequence[Callable[..., Any] | Tool],
        prompt: str | Sequence[Message],
        options: LoopOptions,
    ) -> None:
        if not isinstance(provider, Provider):
            msg = f"ctx.tool_loop was given {shown(provider)}; it takes a Provider, then tools"
            raise InvalidOption(msg)
        made = [as_tool(each) for each in tools]
        by_name = {each.name: each for each in made}
        if len(by_name) < len(made):
            msg = f"two tools of ctx.tool_loop have one name: {[each.name for each in made]}"
            raise InvalidOption(msg)
        self._provider, self._options = provider, options
        self._call = StepCaller(
            ctx,
            options.retry,
            options.timeout,
            is_streamed=options.stream,
            budgets=charged(options.budget),
            limit=options.limit,
        )
        self._tools = ToolCaller(ctx, by_name, options.concurrency, options.notify)
        self._request = CompletionRequest(
            (), tuple(each.spec() for each in made), max_tokens=options.max_tokens
        )
        self._messages = _begun(prompt, options.system)
        self._usage, self._ledger = Usage(), list[LedgerEntry]()

    async def run(self) -> ToolLoopResult:
        """Go round until the model wants no more tools; raises TooManyRounds, AnswerCutOff."""
        for rounds in range(1, self._options.max_rounds + 1):
            completion = await self._ask()
            if not completion.tool_calls:
                if completion.finish == "length":
                    raise AnswerCutOff(completion.text)
                return ToolLoopResult(
                    completion.text, tuple(self._messages), rounds, self._usage,
                    tuple(self._ledger),
                )  # fmt: skip
            if rounds < self._options.max_rounds:
                self._messages += await self._tools.call_all(completion.tool_calls)
        raise TooManyRounds(self._options.max_rounds, self._messages, self._usage)

    async def _ask(self) -> Completion:
        request = replace(self._request, messages=tuple(self._messages))
        completion = await complete(self._provider, request, self._call)
        self._messages.append(completion.message())
        self._usage += completion.used
        self._ledger += completion.ledger
        return completion


def _begun(prompt: str | Sequence[Message], system: str | None) -> list[Message]:
    begun = [Message("user", prompt)] if isinstance(prompt, str) else list(prompt)
    if not begun or not all(isinstance(each, Message) for each in begun):
        msg = f"the prompt of ctx.tool_loop is {shown(prompt)}; it is a text, or Messages"
        raise InvalidOption(msg)
    return begun if system is None else [Message("system", system), *begun]

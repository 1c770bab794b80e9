"""The calls of one answer: what runs side by side, and what the model is told of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from pydantic import TypeAdapter

from stepflow.agents.providers.calls import WorkflowCalls
from stepflow.agents.providers.model import Message, ToolCall
from stepflow.agents.tools.tool import Tool, UnreadableArgumentsError
from stepflow.core.backoff import RetryPolicy
from stepflow.engine.user_code.calls import settled
from stepflow.errors import StepFailed, TransientError, UsageError
from stepflow.kits.flow.step_options import options_of

#: what the model is told when people say no
DECLINED = "A person was asked and has declined this call."

#: unless a tool says otherwise, the model hears of its errors at once, but for a TransientError
TOLD_AT_ONCE = RetryPolicy(retry_on=TransientError)

_anything = TypeAdapter(Any)


@dataclass(frozen=True, slots=True)
class ToolCaller:
    """Carries out calls of *tools*, at most *concurrency* at once."""

    ctx: WorkflowCalls
    tools: Mapping[str, Tool]
    concurrency: int
    notify: Callable[[str], Any] | None = None

    async def call_all(self, calls: Sequence[ToolCall]) -> list[Message]:
        """Return what came of each, in their order; what is not read-only runs alone."""
        found: list[Message] = []
        for side_by_side in self._groups(calls):
            if len(side_by_side) == 1:
                found.append(await self._call(side_by_side[0]))
                continue
            branches = [partial(self._call, call) for call in side_by_side]
            found += await self.ctx.gather(*branches, limit=self.concurrency)
        return found

    def _groups(self, calls: Sequence[ToolCall]) -> Iterator[list[ToolCall]]:
        for is_read_only, group in groupby(calls, self._is_read_only):
            if is_read_only:
                yield list(group)
            else:
                yield from ([call] for call in group)

    def _is_read_only(self, call: ToolCall) -> bool:
        tool = self.tools.get(call.name)
        return tool is not None and tool.read_only

    async def _call(self, call: ToolCall) -> Message:
        tool = self.tools.get(call.name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return _failed(call, f"there is no tool {call.name!r}; the tools are: {known}")
        try:
            arguments = tool.read(call.arguments)
        except UnreadableArgumentsError as error:
            return _failed(call, f"the arguments of {tool.name} cannot be read: {error}")
        if tool.ask and not await self._is_allowed(tool, arguments):
            return _failed(call, DECLINED)
        try:
            value = await self._carry(tool, arguments)
            return _answer(call, value if isinstance(value, str) else _text(value))
        except StepFailed as error:
            return _failed(call, f"{error.error_type}: {error.error_message}")
        except UsageError:  # the mistake is in the workflow, and no model can mend it
            raise
        except Exception as error:  # noqa: BLE001  what a tool raises, the model is told
            return _failed(call, f"{type(error).__name__}: {error}")

    async def _is_allowed(self, tool: Tool, arguments: Mapping[str, Any]) -> bool:
        options = {} if self.notify is None else {"notify": self.notify}
        answer: bool = await self.ctx.ask(bool, tool.question(arguments), **options)
        return answer

    async def _carry(self, tool: Tool, arguments: Mapping[str, Any]) -> Any:
        if tool.in_workflow:
            return await settled(tool.function(**arguments))
        # by options: a tool may have a parameter called "timeout"
        caller = self.ctx.options(
            timeout=tool.timeout,
            retry=tool.retry or options_of(tool.function).retry or TOLD_AT_ONCE,
            compensate=tool.compensate,
        )
        return await caller.step(tool.name, tool.function, **arguments)


def _answer(call: ToolCall, text: str) -> Message:
    return Message("tool", text, tool_call_id=call.id, tool_name=call.name)


def _failed(call: ToolCall, problem: str) -> Message:
    return Message(
        "tool", f"Error: {problem}", tool_call_id=call.id, tool_name=call.name, is_error=True
    )


def _text(value: Any) -> str:
    return _anything.dump_json(value, fallback=str).decode()

"""
People: what an agent may not do, or cannot do alone, is asked by `ctx.ask`.

Each tool call is a question of its own, known by its call, so answers may come in any order.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

from pydantic_ai import exceptions
from pydantic_ai.capabilities.abstract import leaf_capabilities
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import (
    DeferredToolRequests,
    DeferredToolResults,
    RunContext,
    ToolApproved,
    ToolDenied,
)

from stepflow.agents.pydantic_ai.runs import runs_of
from stepflow.core.outcomes import LONGEST_TEXT
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.for_libraries import branch_at

#: what an approval is answered with
DECISION: Mapping[str, Any] = {
    "title": "Approval",
    "anyOf": [
        {"type": "boolean"},
        {
            "type": "object",
            "properties": {
                "approved": {"type": "boolean"},
                "message": {"type": "string", "description": "Told to the model."},
                "args": {"type": "object", "description": "Arguments instead of the model's."},
            },
            "required": ["approved"],
            "additionalProperties": False,
        },
    ],
}
#: characters of the arguments that a question shows
SHOWN = 4000


@dataclass(frozen=True, slots=True)
class ToolQuestion:
    """
    What people are asked about a tool call; *token* answers it.

    *kind* is "approval", answered with a bool or an object (`approved`, `message`, `args`), or
    "result": the answer, anything, is what the tool returns.
    """

    token: str
    run_id: str
    agent: str
    kind: str
    tool: str
    args: Mapping[str, Any]
    prompt: str


Notify = Callable[[ToolQuestion], Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """How an agent asks: whom it tells, and how long it waits (None for ever)."""

    agent: str
    notify: Notify | None = None
    timeout: float | timedelta | None = None

    async def ask(
        self,
        ctx: Context,
        run: RunContext[Any],
        requests: DeferredToolRequests,
        prompts: Mapping[str, str],
    ) -> DeferredToolResults:
        """Ask about all *requests* at once; *prompts* are those of tools that have their own."""
        asked = [
            *(self._begin(ctx, run, call, "approval", prompts) for call in requests.approvals),
            *(self._begin(ctx, run, call, "result", prompts) for call in requests.calls),
        ]
        answers = await asyncio.gather(*asked)
        count = len(requests.approvals)
        return requests.build_results(
            approvals={
                call.tool_call_id: _decision(answer)
                for call, answer in zip(requests.approvals, answers[:count], strict=True)
            },
            calls={
                call.tool_call_id: NOBODY if answer is None else answer
                for call, answer in zip(requests.calls, answers[count:], strict=True)
            },
        )

    def _begin(
        self,
        ctx: Context,
        run: RunContext[Any],
        call: ToolCallPart,
        kind: str,
        prompts: Mapping[str, str],
    ) -> asyncio.Task[Any]:
        key = runs_of(ctx).next_key(run.run_id, f"ask/{run.run_step}/{call.tool_call_id}")
        prompt = prompt_of(self.agent, call, kind, prompts.get(call.tool_name))
        return branch_at(ctx, self._asked(ctx, call, kind, prompt), key)

    async def _asked(self, ctx: Context, call: ToolCallPart, kind: str, prompt: str) -> Any:
        wanted = DECISION if kind == "approval" else {}
        args = call.args_as_dict()

        def tell(token: str) -> Any:
            assert self.notify is not None
            return self.notify(
                ToolQuestion(token, ctx.run_id, self.agent, kind, call.tool_name, args, prompt)
            )

        async def tell_on_the_loop(token: str) -> Any:
            return await tell(token)

        told = tell_on_the_loop if inspect.iscoroutinefunction(self.notify) else tell
        told.__name__ = f"{self.agent}.notify"
        notify = None if self.notify is None else told
        return await ctx.ask(wanted, prompt, self.timeout, notify=notify)


def prompt_of(agent: str, call: ToolCallPart, kind: str, own: str | None) -> str:
    """Say what people are asked about *call*: by the tool's *own* words, else its arguments."""
    args = call.args_as_dict()
    if own is not None:
        try:
            return own.format_map(args)[:LONGEST_TEXT]
        except (LookupError, ValueError, AttributeError, TypeError):
            pass  # the model left out what the words name, so all that it gave is shown
    shown = json.dumps(args, ensure_ascii=False, default=str)
    if len(shown) > SHOWN:
        shown = f"{shown[:SHOWN]} … ({len(shown) - SHOWN} more characters)"
    called = f"{call.tool_name} with {shown}"
    if kind == "approval":
        return f"{agent} wants to call {called}. Allow it?"
    return f"{agent} waits for the result of {called}"


#: what the model is told when the time of a question has passed
UNANSWERED = "Nobody answered in time; this was not done."
_failed = getattr(exceptions, "ToolFailed", None)
NOBODY: Any = UNANSWERED if _failed is None else _failed(UNANSWERED)


def _decision(answer: Any) -> bool | ToolApproved | ToolDenied:
    if answer is None:
        return ToolDenied(UNANSWERED)
    if isinstance(answer, bool):
        return answer
    if not answer["approved"]:
        return ToolDenied(answer.get("message") or ToolDenied().message)
    return ToolApproved(override_args=answer.get("args"))


def is_left_to_others(run: RunContext[Any]) -> bool:
    """Whether the agent itself says what becomes of calls: by its output type or RequestInput."""
    if run.agent is None or _takes_requests(run.agent.output_type):
        return True
    root = run.root_capability
    return root is not None and any(
        type(leaf).__name__ == "RequestInput" for leaf in leaf_capabilities(root)
    )


def _takes_requests(output: Any) -> bool:
    if output is DeferredToolRequests:
        return True
    parts: Sequence[Any] = output if isinstance(output, list | tuple) else get_args(output)
    return any(_takes_requests(part) for part in parts)

"""What the reader of docs/how-to/agents/by_hand.md has at hand."""

from dataclasses import dataclass
from datetime import timedelta

from stepflow import Context, PermanentError, RetryPolicy, Stepflow

app = Stepflow()
NEEDS_APPROVAL = {"refund"}


@dataclass
class Action:
    tool: str | None
    text: str


async def think(messages: list[str]) -> Action:
    return Action("refund", "order 7") if len(messages) == 1 else Action(None, messages[-1])


async def use_tool(action: Action) -> str:
    return f"{action.text} is done"


async def reply(message: str) -> str:
    return message.upper()


async def check(h, space):
    run = await h.submit("agent", "the kite is broken")
    [question] = await h.client.questions()
    await h.client.answer(question.token, True)
    await h.settle()
    assert await h.result(run) == "refund: order 7 is done"
    talk = await h.submit("chat", [])
    for _ in range(25):
        await h.signal(talk, "message", "hello")
    await h.advance(timedelta(hours=2))
    assert await h.result(talk) == ["hello", "HELLO"] * 25


__all__ = ["Context", "PermanentError", "RetryPolicy"]

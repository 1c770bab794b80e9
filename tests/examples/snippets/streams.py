"""What the reader of docs/how-to/streams.md has at hand."""

from collections.abc import AsyncIterator
from typing import Any

from stepflow import Context, Stepflow

app = Stepflow()


class Model:
    async def stream(self, question: str) -> AsyncIterator[str]:
        for token in ("be", "cause"):
            yield token


class Page:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def add(self, scope: str, data: Any) -> None:
        self.calls.append(data)

    def remove_all_of(self, scope: str) -> None:
        self.calls.append("reset")

    def close(self, state: str) -> None:
        self.calls.append(state)


model, page = Model(), Page()


async def check(h, space):
    run = await h.submit("chat", "why?")
    await space["follow"](run.id)
    assert page.calls == ["be", "cause", "succeeded"]
    assert await space["render"](run.id) == "because"
    events = [text async for text in space["server_sent_events"](run.id)]
    assert [text.split("\n")[1] for text in events] == [
        "event: output", "event: output", "event: output", "event: end",
    ]  # fmt: skip


__all__ = ["Context"]

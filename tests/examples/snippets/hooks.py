"""What the reader of docs/how-to/hooks.md has at hand."""

from typing import Any

from stepflow import Fail, Step, Stepflow, Succeed
from stepflow.testing import Harness

app = Stepflow()


class Chat:
    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, text: str) -> None:
        self.sent.append(text)


chat = Chat()


@app.runner("etl")
async def etl(step: Step[Any]) -> Any:
    return Fail("no") if step.payload == "bad" else Succeed(3)


@app.runner("report")
async def report(step: Step[Any]) -> Any:
    return Succeed(step.payload)


async def check(h, space):
    async with Harness(app) as later:
        await later.submit("etl", "bad", run_id="b")
        await later.submit("etl", "ok", run_id="a")
        begun = await later.client.kv("a", "report")
        assert await later.result(begun) == 3
    assert chat.sent == ["b: Fail: no"]

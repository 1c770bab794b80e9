"""What the reader of docs/how-to/events.md has at hand."""

from collections import Counter

from stepflow import Context, Stepflow
from stepflow.testing import Harness

app = Stepflow()
metrics: Counter[str] = Counter()


class Chat:
    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, text: str) -> None:
        self.sent.append(text)


chat = Chat()


@app.workflow("flow")
async def flow(ctx: Context) -> None:
    await ctx.step("one", int)


async def check(h, space):
    # listeners are those that the app has when its worker starts
    async with Harness(app) as later:
        run = await later.submit("flow")
        space["client"] = later.client
        await space["print_history"](run.id)
        events = await space["what_is_new"](run.id, None)
        assert [event["event"] for event in events] == [
            "submitted", "started", "step.done", "ended",
        ]  # fmt: skip
        assert await space["what_is_new"](run.id, events[-1]["id"]) == []
        assert metrics["flow"] == 1
        assert chat.sent == [f"{run.id} succeeded"]

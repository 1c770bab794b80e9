"""What the reader of docs/limits.md has at hand."""

from stepflow import Context, Limit, Outcome, RateLimited, Step, Stepflow, Succeed

app = Stepflow()


class Answer:
    def __init__(self, status: int, text: str) -> None:
        self.status, self.text, self.retry_after = status, text, 5


answers = [Answer(429, ""), Answer(200, "found")]


async def call_stripe(order: int) -> str:
    return f"charged {order}"


async def draw(question: str) -> str:
    return f"a picture of {question}"


class Reply:
    text, tokens_used = "a moon", 900


async def call_model(photo: str) -> Reply:
    return Reply()


async def ask_search(text: str) -> Answer:
    return answers.pop(0)


async def check(h, space):
    from stepflow.testing import Harness

    async with Harness(app) as inner:
        run = await space["search"].submit("moon")
        await inner.advance(4)
        assert not (await inner.status(run.id)).is_finished
        await inner.advance(2)
        assert await inner.result(run.id) == "found"


__all__ = ["Context", "Limit", "Outcome", "RateLimited", "Step", "Succeed"]

"""What the reader of docs/deploying.md has at hand."""

from stepflow import Context, RunOutcome, Stepflow, Webhook

app = Stepflow()
hits = "hits"


def search(topic: str) -> str:
    return f"hits of {topic}"


def rank(hits: str) -> str:
    return f"ranked {hits}"


async def check(h, space):
    assert await h.result(await h.submit("research", "bees")) == "ranked hits of bees"
    assert await h.result(await h.submit("research", "bees", version=1)) == "hits of bees"


__all__ = ["Context", "RunOutcome", "Webhook"]

"""What the reader of docs/how-to/steps/budgets.md has at hand."""

from dataclasses import dataclass
from decimal import Decimal

import stepflow
from stepflow import Client, Context, Cost, Spending, Stepflow
from stepflow.testing import Harness

app = Stepflow()


@dataclass
class Answer:
    text: str
    total_tokens: int
    stepflow_cost: Cost


async def ask_model(question: str) -> Answer:
    return Answer(f"about {question}", 900, Cost("0.004", 900))


def price_of(answer: Answer) -> Decimal:
    return Decimal("0.004")


async def check(h, space):
    async with Harness(app) as inner:
        assert await inner.result(await inner.submit("support", "tea")) == "about tea"
    answer = await ask_model("tea")
    assert space["used"](answer).tokens == 900
    assert space["used"](TimeoutError()) is None


__all__ = ["Client", "Context", "Spending", "stepflow"]

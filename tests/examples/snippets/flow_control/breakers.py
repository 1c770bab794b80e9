"""What the reader of docs/how-to/breakers.md has at hand."""

from stepflow import Breaker, CircuitOpen, Context, Outcome, Step, Succeed
from stepflow.testing import Harness

__all__ = ["Breaker", "CircuitOpen", "Context", "Harness", "Outcome", "Step", "Succeed"]


async def call_stripe(order: int) -> str:
    return f"paid {order}"


def call_stripe_blocking(order: int) -> str:
    return f"paid back {order}"


async def fetch_quote(item: str) -> float:
    return len(item) + 0.5


async def last_known_price(item: str) -> float:
    return float(len(item))


async def check(h, space):
    await space["test_orders_wait_while_stripe_is_down"]()
    assert await h.result(await h.submit("orders", 1)) == "paid 1"
    assert await h.result(await h.submit("ship", 2)) == "paid 2"
    assert await h.result(await space["refund"].submit(3)) == "paid back 3"
    assert await h.result(await h.submit("price", "tea")) == 3.5
    await h.client.breakers.open("quotes")
    assert await h.result(await h.submit("price", "tea")) == 3.0

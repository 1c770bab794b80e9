"""An app, its harness, and a provider that bills each call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stepflow import Cost, Stepflow
from stepflow.testing import Harness


class Provider:
    """Bills each call that it gets: `price` dollars and `tokens`."""

    def __init__(self, tokens: int = 100, price: str = "0.01") -> None:
        self.tokens, self.price = tokens, price
        self.calls: list[object] = []
        #: what the next calls raise after they were billed
        self.errors: list[BaseException] = []

    @property
    def bill(self) -> int:
        """The tokens that were billed."""
        return len(self.calls) * self.tokens

    async def call(self, what: object = None) -> dict[str, object]:
        self.calls.append(what)
        if self.errors:
            raise self.errors.pop(0)
        return {"text": "ok", "tokens": self.tokens, "usd": self.price}


def used(came_to: object) -> Cost | None:
    """Read what a call of the provider has cost."""
    if isinstance(came_to, dict):
        return Cost(came_to["usd"], came_to["tokens"])
    return None


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def app() -> Stepflow:
    """An app without a server."""
    return Stepflow("redis://nowhere.invalid")


@pytest.fixture
async def h(app: Stepflow) -> AsyncIterator[Harness]:
    """A harness for the app, which the test may still add to."""
    async with Harness(app) as harness:
        yield harness

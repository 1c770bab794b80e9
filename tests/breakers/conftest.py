"""An app, its harness, and a service that can be made to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stepflow import Stepflow
from stepflow.testing import Harness


class Service:
    """Something that steps call: it fails while it is down, and notes each call."""

    def __init__(self) -> None:
        self.is_down = True
        self.calls: list[object] = []

    async def call(self, what: object = None) -> str:
        self.calls.append(what)
        if self.is_down:
            raise ConnectionError("the service is down")
        return "ok"


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def app() -> Stepflow:
    """An app without a server."""
    return Stepflow("redis://nowhere.invalid")


@pytest.fixture
async def h(app: Stepflow) -> AsyncIterator[Harness]:
    """A harness for the app, which the test may still add to."""
    async with Harness(app) as harness:
        yield harness

"""An app and its harness."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stepflow import Stepflow
from stepflow.testing import Harness


@pytest.fixture
def app() -> Stepflow:
    """An app without a server."""
    return Stepflow("redis://nowhere.invalid")


@pytest.fixture
async def h(app: Stepflow) -> AsyncIterator[Harness]:
    """A harness for the app, which the test may still add to."""
    async with Harness(app) as harness:
        yield harness

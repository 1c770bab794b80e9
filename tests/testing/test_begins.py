"""How a harness begins, whatever the app's own code does then."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stepflow import Stepflow
from stepflow.errors import LifespanFailed
from stepflow.testing import Harness


async def refuse() -> None:
    msg = "no database"
    raise OSError(msg)


async def test_a_harness_that_cannot_begin_leaves_the_app_as_it_was() -> None:
    """Its other tests had clients of a server that was not there any more."""
    app, undone = Stepflow("redis://localhost:1"), []

    @app.lifespan
    async def first() -> AsyncIterator[None]:
        yield
        undone.append("first")

    @app.lifespan
    async def second() -> AsyncIterator[None]:
        await refuse()
        yield

    client, aclient = app.client, app.async_client
    with pytest.raises(LifespanFailed, match="no database"):
        async with Harness(app):
            pass
    assert (app.client, app.async_client, undone) == (client, aclient, ["first"])

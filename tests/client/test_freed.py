"""A client that is dropped without being closed."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from stepflow import Client, Settings
from stepflow.settings import RedisSettings
from stepflow.store.durability.level import Durability


@pytest.mark.parametrize("durability", ["memory", "everysec", "fsync"])
def test_a_client_that_nobody_holds_is_freed_at_once_with_what_it_has_open(
    url: str, real: Any, durability: Durability
) -> None:
    """Was: it was left to a garbage collection, and Python warned of its open sockets."""
    settings = Settings(redis=RedisSettings(url=url), durability=durability)
    gc.disable()
    try:
        client = Client(settings=settings)
        run = client.submit("x", run_id="a")
        assert client.status(run.id) is not None
        known, opened = weakref.ref(client), weakref.ref(client.connection)
        del client, run
        assert (known(), opened()) == (None, None)
    finally:
        gc.enable()
    real.flushdb()

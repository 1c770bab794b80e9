"""A server whose disk waits until it is told to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis


@pytest.fixture
def slow_disk(real: redis.Redis) -> Iterator[Callable[[], None]]:
    """Nothing reaches the disk until what this gives is called; then each write does."""
    before = real.config_get("appendfsync")["appendfsync"]
    real.config_set("appendfsync", "no")
    yield lambda: real.config_set("appendfsync", "always")
    real.config_set("appendfsync", before)

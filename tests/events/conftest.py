"""A worker that can die."""

import pytest

from tests.engine.conftest import Ghost


@pytest.fixture
def ghost(link_to_real, keys, real) -> Ghost:
    """A worker that claims and does nothing more."""
    return Ghost(link_to_real, keys, real)

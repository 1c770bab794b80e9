"""
A pytest fixture: `pytest_plugins = ["stepflow.testing.fixtures"]` in your top conftest.py.

It loads nothing until a test uses it.
"""

from __future__ import annotations

import pytest

from stepflow.testing.harness import Harness


@pytest.fixture
def stepflow_harness() -> type[Harness]:
    """
    Return the Harness class, to make one for an app: `stepflow_harness(app)`.

    Works with any async plugin.
    """
    return Harness

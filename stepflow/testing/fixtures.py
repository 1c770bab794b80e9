"""
For pytest: `from stepflow.testing.fixtures import stepflow_harness` in a conftest.py.

Nothing is loaded unasked.
"""

from __future__ import annotations

import pytest

from stepflow.testing.harness import Harness


@pytest.fixture
def stepflow_harness() -> type[Harness]:
    """
    Give the harness, to be made for an app: `stepflow_harness(app)`.

    Asks for no async plugin of its own.
    """
    return Harness

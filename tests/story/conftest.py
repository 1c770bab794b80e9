"""
The tour: read the files in their order. Each test is one idea, told through the public API only.

`app` is a Stepflow on an empty server, `client` its blocking client; `async with working(app):` has
a worker at hand. What a blocking client does here is done in a thread, for the worker shares the
test's loop.
"""

import asyncio

import pytest


@pytest.fixture
def away():
    """Call something that blocks without holding up the worker: `await away(run.result, 10)`."""
    return asyncio.to_thread

"""
The tour: read the files in order. Each test is one idea, and uses the public API only.

`app` is a Stepflow on an empty server, `client` its blocking client; within `async with
working(app):` a worker runs. The blocking client is called in a thread, because the worker shares
the test's loop.
"""

import asyncio

import pytest


@pytest.fixture
def away():
    """Call something that blocks without blocking the worker: `await away(run.result, 10)`."""
    return asyncio.to_thread

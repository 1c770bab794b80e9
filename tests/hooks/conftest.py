"""What the tests of this room share: settings that allow this machine, and one deliverer."""

from collections.abc import AsyncIterator

import pytest

from stepflow.hooks.deliver import Deliverer
from stepflow.settings import WebhookSettings


@pytest.fixture
def here() -> WebhookSettings:
    """Settings under which receivers on this machine may be called."""
    return WebhookSettings(allow_cidrs=("127.0.0.0/8",))


@pytest.fixture
async def deliverer(here: WebhookSettings) -> AsyncIterator[Deliverer]:
    async with Deliverer(here) as deliverer:
        yield deliverer

"""Keys for tests, and a process that forgets them afterwards."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from stepflow.settings import Settings
from stepflow.store.values.keyring import forget_keys
from stepflow.value_settings import EncryptionSettings

OLD = "2026-05:" + base64.b64encode(bytes(range(32))).decode()
NEW = "2026-11:" + base64.urlsafe_b64encode(bytes(range(100, 132))).decode()


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Leave no keys to the next test."""
    yield
    forget_keys()


def with_keys(settings: Settings, *keys: str) -> Settings:
    """Give the same settings with these keys, and drop those that this process has."""
    forget_keys()
    encryption = EncryptionSettings(keys=",".join(keys))
    return settings.model_copy(update={"encryption": encryption})

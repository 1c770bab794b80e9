"""A store for large values in a folder, and a process that forgets it afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepflow.settings import Settings
from stepflow.store.offload.folder import MARK
from stepflow.store.offload.use import forget_store
from stepflow.value_settings import OffloadSettings

MB = 1_048_576


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Leave no store to the next test."""
    yield
    forget_store()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where large values go."""
    return tmp_path / "large"


@pytest.fixture
def settings(settings: Settings, folder: Path) -> Settings:
    """The short times of all tests, and a store in *folder*."""
    return settings.model_copy(update={"offload": OffloadSettings(url=str(folder))})


def files_in(folder: Path) -> list[Path]:
    """List what is in the store, also while a worker deletes there."""
    found = (Path(at, name) for at, _, names in os.walk(folder) for name in names)
    return sorted(file for file in found if file.name != MARK)

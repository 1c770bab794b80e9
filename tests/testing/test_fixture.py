"""The pytest fixture, as a user takes it into a conftest.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stepflow import Step, Stepflow, Succeed
from stepflow.testing.fixtures import stepflow_harness

pytestmark = pytest.mark.crash

__all__ = ["stepflow_harness"]


async def test_the_fixture_makes_harnesses(app: Stepflow, stepflow_harness: Any) -> None:
    @app.runner("r")
    async def r(step: Step[int]) -> Succeed:
        return Succeed(step.payload + 1)

    async with stepflow_harness(app) as h:
        assert await h.result(await h.submit("r", 1)) == 2


def test_a_users_conftest_names_it_as_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["stepflow.testing.fixtures"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(stepflow_harness): assert stepflow_harness.__name__ == 'Harness'\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:valkey",
        str(tmp_path),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_who_does_not_use_the_kit_pays_nothing_for_it() -> None:
    code = (
        "import sys, stepflow; stepflow.Stepflow\n"
        "print([name for name in ('fakeredis', 'pytest', 'stepflow.testing') if name in "
        "sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr

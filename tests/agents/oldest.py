"""
Test agents with the oldest pydantic-ai that the extra `agents` allows.

`python -m tests.agents.oldest [tests]`: installs it beside what is in `.venv`, and runs the tests
of agents with it. What it does not have yet, tests leave out by themselves.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: packages that come in one version
TOGETHER = ("pydantic-ai-slim", "pydantic-graph")
TESTS = (
    "tests/agents/pydantic_ai",
    "tests/agents/chat",
    "tests/agents/test_budgets.py",
    "tests/agents/test_from_pydantic_ai.py",
)


def main() -> int:
    """Install into a folder that goes before the environment's own; gives pytest's exit code."""
    bound = re.search(r'"pydantic-ai-slim>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert bound is not None, "the extra `agents` has no lower bound of pydantic-ai-slim"
    wanted = [f"{name}=={bound[1]}.*" for name in TOGETHER]
    with tempfile.TemporaryDirectory(prefix="stepflow-oldest-") as folder:
        subprocess.run([*installer(), "--no-deps", "--target", folder, *wanted], check=True)
        path = os.pathsep.join([folder, str(ROOT)])
        tests = sys.argv[1:] or TESTS
        command = [sys.executable, "-m", "pytest", "-q", "-m", "crash or not crash", *tests]
        return subprocess.run(
            command, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}
        ).returncode


def installer() -> list[str]:
    """Give the command that installs packages: the environment's pip, else uv."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], check=False, capture_output=True).returncode == 0:
        return [*pip, "--disable-pip-version-check", "--quiet", "install"]
    uv = shutil.which("uv")
    assert uv is not None, "the environment has no pip, and PATH no uv"
    return [uv, "pip", "install", "--quiet", "--python", sys.executable]


if __name__ == "__main__":
    sys.exit(main())

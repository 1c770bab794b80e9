"""The README cannot rot: this test writes its files, runs its commands, and compares the output."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path

from tests.support import until_blocking

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
#: a file's text stands right after the line that names it
FILES = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE))

#: what differs from run to run, and what it is compared as
MASKS = (
    (r"\d+(\.\d+)? (s|min)\b", "<span>"),
    (r" +", " "),
    (r": (delivered|buffered)$", ": <taken>"),
)
#: the workers it tells the reader to start
WORKERS = re.findall(r"`stepflow worker (\w+:app)`", README)


def masked(text: str) -> list[str]:
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return [line.rstrip() for line in text.splitlines()]


def commands(block: str) -> list[tuple[str, str]]:
    """Split a console block into (command, what it prints)."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def test_every_python_block_is_a_file_that_this_test_runs():
    assert sorted(FILES.values()) == sorted(text for kind, text in BLOCKS if kind == "python")


def test_the_consoles_print_what_the_readme_says(home, environment, background):
    for name, text in FILES.items():
        (home / name).write_text(text)
    environment.update(STEPFLOW_HOME=str(home / "server"), PYTHONPATH=str(home))
    with contextlib.ExitStack() as workers:
        for app in WORKERS:
            workers.enter_context(background("stepflow", "worker", app, cwd=home))
        until_blocking((home / "server" / "redis.sock").exists)
        for kind, block in BLOCKS:
            for command, printed in commands(block) if kind == "console" else ():
                done = subprocess.run(
                    command,
                    shell=True,
                    cwd=home,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert masked(done.stdout) == masked(printed), command

"""`export`, `check` and `fork` as a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepflow import Client
from stepflow.cli.errors import Exit
from tests.cli.conftest import Program, Run
from tests.support import until_blocking

FLOW = """
from stepflow import Stepflow

app = Stepflow()

async def act(name):
    return name.upper()

@app.workflow("trip")
async def trip(ctx, name: str):
    first = await ctx.step("first", act, name)
    word = await ctx.wait_for_signal("word")
    return [first, word, await ctx.step("{last}", act, "{last}")]
"""


@pytest.fixture
def flow(folder: Path) -> Path:
    """The folder with another app: `flow:app`, a workflow of two steps and a signal."""
    (folder / "flow.py").write_text(FLOW.format(last="last"))
    return folder


@pytest.fixture
def ended(flow: Path, start: Any, url: str, client: Client) -> Iterator[str]:
    """A run of it that has ended, worked by a real worker."""
    worker = start("worker", "flow:app", STEPFLOW_REDIS_URL=url)
    run = client.submit("trip", "a", run_id="a1")
    until_blocking(lambda: worker.poll() is not None or run.status().state == "waiting")
    client.signal("a1", "word", {"ok": True})
    assert run.result(60) == ["A", {"ok": True}, "LAST"]
    yield run.id
    worker.terminate()
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said


def test_what_was_exported_fits_until_the_code_changes(
    flow: Path, ended: str, program: Program
) -> None:
    """[F5]"""
    exported = program("export", ended)
    assert exported.returncode == 0, exported.stderr
    document = json.loads(exported.stdout)
    assert [(entry["kind"], entry["name"]) for entry in document["journal"]] == [
        ("value", "first"), ("signal", "word"), ("value", "last"),
    ]  # fmt: skip
    assert [entry.get("value") for entry in document["journal"]] == ["A", {"ok": True}, "LAST"]
    (flow / "histories").mkdir()
    (flow / "histories" / "a1.json").write_text(exported.stdout)
    # no Redis is asked: there is none at that address
    fits = program("check", "flow:app", "histories", STEPFLOW_REDIS_URL="redis://nowhere.invalid")
    assert (fits.returncode, fits.stdout) == (0, "fits     histories/a1.json  run a1 of trip\n"), (
        fits.stderr
    )

    (flow / "flow.py").write_text(FLOW.format(last="other"))
    (flow / "broken.json").write_text("{}")
    changed = program("check", "flow:app", "histories/", "broken.json")
    assert changed.returncode == Exit.ERROR
    lines = changed.stdout.splitlines()
    assert lines[0] == "CHANGED  histories/a1.json  run a1 of trip"
    assert lines[1].strip() == "code changed: at place 2 remembered value 'last', now step 'other'"
    assert lines[-3].split() == [">", "2", "value", "last", "(place", "2)"]
    assert lines[-2] == "CHANGED  broken.json"
    assert lines[-1].strip() == "this is not a history that `stepflow export` wrote"

    (found,) = json.loads(program("check", "flow:app", "histories", "--json").stdout)
    assert (found["id"], found["runner"], found["fits"]) == ("a1", "trip", False)


def test_a_fork_prints_its_id_and_the_same_again_finds_it(
    ended: str, program: Program, client: Client
) -> None:
    """[F5]"""
    forked = program("fork", ended, "--at", "last", "--id", "a2")
    assert (forked.returncode, forked.stdout) == (0, "a2\n"), forked.stderr
    assert client.result("a2", 60) == ["A", {"ok": True}, "LAST"]
    again = program("fork", ended, "--at", "last", "--id", "a2", "--json")
    assert json.loads(again.stdout) == {"id": "a2", "created": False}
    assert "was there already" in again.stderr


def test_mistakes_are_sentences(run: Run, client: Client, tmp_path: Path) -> None:
    client.submit("etl", run_id="a1")
    unknown = run("fork", "a1", "--at", "x")
    assert (unknown.exit_code, "it remembers: nothing" in unknown.stderr) == (Exit.ERROR, True)
    assert run("export", "zz").exit_code == Exit.NOT_FOUND
    assert run("fork", "zz", "--at", "x").exit_code == Exit.NOT_FOUND
    empty = run("check", "examples.nothing:app", str(tmp_path))
    assert empty.exit_code == Exit.USAGE
    client.cancel("a1")

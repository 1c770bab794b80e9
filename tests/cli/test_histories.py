"""[U16] Many histories exported at once, and the runs in Redis checked against the code at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepflow.cli.errors import Exit
from stepflow.cli.look import histories
from tests.support import dump, until_blocking

FLOW = """
from stepflow import Stepflow

app = Stepflow()

async def act(name):
    return name.upper()

@app.workflow("trip")
async def trip(ctx, given):
    first = await ctx.step("{first}", act, given["name"])
    await ctx.wait_for_signal("word")
    return first

@app.workflow("walk")
async def walk(ctx, given):
    return await ctx.step("step", act, "x")

@app.runner("plain")
async def plain(step):
    from stepflow import Succeed
    return Succeed(1)
"""


@pytest.fixture
def flow(folder: Path) -> Path:
    """The folder with another app, `flow:app`: two workflows and a runner."""
    (folder / "flow.py").write_text(FLOW.format(first="first"))
    return folder


@pytest.fixture
def worked(flow: Path, start: Any, url: str, client: Any) -> None:
    """Runs of it: five trips that wait, two walks and one of the runner that have ended."""
    worker = start("worker", "flow:app", STEPFLOW_REDIS_URL=url)
    trips = [
        client.submit("trip", {"name": "a", "password": "hunter2"}, run_id=f"t{n}")
        for n in range(5)
    ]
    ended = [client.submit("walk", {}, run_id=f"w{n}") for n in range(2)]
    ended.append(client.submit("plain", run_id="p0"))
    until_blocking(
        lambda: worker.poll() is not None or all(run.status().is_finished for run in ended)
    )
    until_blocking(lambda: all(run.status().state == "waiting" for run in trips))
    worker.terminate()
    worker.communicate(timeout=60)
    yield
    for run in trips:
        client.fail(run.id)


def test_many_are_exported_as_lines_or_files_and_those_fit(
    worked, flow: Path, program: Any, run: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(histories, "PAGE", 2)
    lines = run("export", "--runner", "trip")
    assert [json.loads(line)["run"]["id"] for line in lines.stdout.splitlines()] == [
        "t4", "t3", "t2", "t1", "t0",
    ]  # fmt: skip
    (flow / "trips.jsonl").write_text(lines.stdout)
    newest = run("export", "--sample", "3", "--state", "succeeded")
    assert len(newest.stdout.splitlines()) == 3
    fitting = run("export", "--where", "id^=t state=waiting")
    assert [json.loads(line)["run"]["id"] for line in fitting.stdout.splitlines()] == [
        "t4", "t3", "t2", "t1", "t0",
    ]  # fmt: skip
    files = run("export", "--runner", "walk", "--out", str(flow / "kept"))
    assert sorted(path.name for path in (flow / "kept").iterdir()) == ["w0.json", "w1.json"]
    assert "2 histories written to" in files.stderr
    fits = program("check", "flow:app", "trips.jsonl", "kept")
    assert (fits.returncode, fits.stdout.count("fits     ")) == (0, 7)
    (flow / "flow.py").write_text(FLOW.format(first="other"))
    changed = program("check", "flow:app", "trips.jsonl", "kept")
    assert changed.returncode == Exit.ERROR
    assert (changed.stdout.count("fits     "), changed.stdout.count("CHANGED  ")) == (2, 5)


def test_what_is_redacted_is_in_no_line(worked, run: Any):
    assert "hunter2" in run("export", "t0").stdout
    for arguments in (["t0"], ["--runner", "trip"], ["--sample", "10"]):
        exported = run("export", *arguments, "--redact", "password", "--redact", "other")
        assert exported.exit_code == 0
        assert "hunter2" not in exported.stdout
        assert "[redacted]" in exported.stdout


def test_a_run_is_exported_whole_and_checked(worked, flow: Path, program: Any, run: Any, client):
    """[U22]"""
    client.signal("t0", "another", {"password": "hunter2"})
    exported = run("export", "t0", "--whole")
    document = json.loads(exported.stdout)
    assert document["mailbox"] == [{"signal": "another", "value": {"password": "hunter2"}}]
    assert {"steps", "vars", "tags", "record", "hooks"} <= document.keys()
    assert "hunter2" not in run("export", "t0", "--whole", "--redact", "password").stdout
    (flow / "t0.json").write_text(exported.stdout)
    assert program("check", "flow:app", "t0.json").returncode == 0


def test_live_runs_are_checked_without_a_write(worked, flow: Path, program: Any, url: str, real):
    before = dump(real)
    fits = program("check", "flow:app", "--live", "--redis-url", url)
    assert (fits.returncode, fits.stdout) == (0, "7 of 7 runs fit\n"), fits.stderr
    (flow / "flow.py").write_text(FLOW.format(first="other"))
    changed = program("check", "flow:app", "--live", "--redis-url", url)
    assert changed.returncode == Exit.ERROR
    lines = changed.stdout.splitlines()
    assert lines[0] == "CHANGED  run t4 of trip"
    assert lines[1].strip() == "code changed: at place 0 remembered value 'first', now step 'other'"
    assert lines[-1] == "2 of 7 runs fit"
    sample = program("check", "flow:app", "--live", "--sample", "1", "--json", "--redis-url", url)
    assert [item["id"] for item in json.loads(sample.stdout)] == ["t4", "w1"]
    ended = program("check", "flow:app", "--live", "--state", "succeeded", "--redis-url", url)
    assert (ended.returncode, ended.stdout) == (0, "2 of 2 runs fit\n")
    assert dump(real) == before


def test_a_live_run_in_a_version_that_the_code_lacks_does_not_fit(
    worked, flow: Path, program: Any, url: str
):
    text = FLOW.format(first="first").replace('workflow("trip")', 'workflow("trip", version=2)')
    (flow / "flow.py").write_text(text)
    found = program("check", "flow:app", "--live", "--redis-url", url)
    assert found.returncode == Exit.ERROR
    assert found.stdout.count("CHANGED  ") == 5
    assert found.stdout.endswith("2 of 7 runs fit\n")


def test_a_run_that_cannot_be_read_is_one_that_does_not_fit(
    worked, program: Any, url: str, real, keys
):
    real.hset(keys.run("t1"), "inbox", "many")
    found = program("check", "flow:app", "--live", "--redis-url", url)
    real.hset(keys.run("t1"), "inbox", "0")
    assert found.returncode == Exit.ERROR
    assert "run t1 of trip" in found.stdout
    assert found.stdout.endswith("6 of 7 runs fit\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export"], "name a RUN, or choose many"),
        (["export", "a", "--runner", "trip"], "name a RUN, or choose many"),
        (["export", "--whole", "--runner", "trip"], "--whole prints one RUN"),
        (["export", "--whole", "a", "--out", "kept"], "--whole prints one RUN"),
        (["check", "flow:app"], "name FILES, or give --live"),
        (["check", "flow:app", ".", "--live"], "name FILES, or give --live"),
        (["check", "flow:app", ".", "--sample", "3"], "name FILES, or give --live"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake(run: Any, arguments, words):
    answer = run(*arguments)
    assert answer.exit_code == Exit.USAGE
    assert words in answer.stderr

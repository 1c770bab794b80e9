"""`stepflow output` prints what a run emits: text, JSON, and what counts of it."""

import json

import pytest

from tests.support import until_blocking

TALKS = """
import stepflow
from stepflow import RetryPolicy, Stepflow, TransientError

app = Stepflow()

async def speak(text):
    stepflow.emit(text)

tries = []

async def stutter():
    tries.append(1)
    stepflow.emit("once ")
    if len(tries) == 1:
        raise TransientError("again")
    stepflow.emit("more\\n")

@app.workflow("talks", retry=RetryPolicy(initial=0.01))
async def talks(ctx):
    await ctx.emit({"phase": 1}, topic="progress")
    await ctx.step("hello ", speak, "hello ")
    await ctx.step("stutter", stutter)
    if await ctx.wait_for_signal("go") == "fail":
        raise ValueError("as told")
"""


@pytest.fixture
def talks(folder):
    (folder / "capp.py").write_text(TALKS)


def test_it_prints_what_counts_and_says_what_does_not(talks, at_work, client, run):
    """[E13]"""
    client.submit("talks", run_id="t1")
    until_blocking(lambda: "signal" in (client.status("t1").waits_for or ""))
    shown = run("output", "t1")
    assert (shown.exit_code, shown.stdout) == (0, '{"phase": 1}\nhello once more\n')
    assert run("output", "t1", "--topic", "progress").stdout == '{"phase": 1}\n'
    assert run("output", "t1", "--committed").stdout == '{"phase": 1}\nhello once more\n'
    events = [json.loads(line) for line in run("output", "t1", "--json").stdout.splitlines()]
    assert [event["event"] for event in events] == [
        "output", "output", "output", "reset", "output", "output",
    ]  # fmt: skip
    assert run("output", "t1", "--after", events[-2]["id"]).stdout == "more\n"
    lines = run("events", "t1").stdout.splitlines()
    assert [line.split()[2] for line in lines] == [
        "submitted", "started", "step.done", "attempt.failed", "step.done",
    ]  # fmt: skip
    assert "step=stutter place=2 error='TransientError: again'" in lines[3]
    told = [json.loads(line) for line in run("events", "t1", "--json").stdout.splitlines()]
    assert run("events", "t1", "--after", told[-1]["id"]).stdout == ""
    client.signal("t1", "go", "fail")
    followed = run("events", "t1", "--after", told[-1]["id"], "-f")
    assert followed.exit_code == 3
    assert [line.split()[2] for line in followed.stdout.splitlines()] == ["signal.taken", "ended"]
    followed = run("output", "t1", "--follow")
    assert followed.exit_code == 3
    assert followed.stdout == '{"phase": 1}\nhello once \nonce more\n'
    assert followed.stderr == "what step 2 has said so far is void\n"

"""`stepflow show`, `watch` and `dev` tell a workflow by its own steps [U9]."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from stepflow.cli.look.changes import Changes
from stepflow.cli.look.words import told, under_way, when
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import RunState, RunStatus
from stepflow.engine.timeline import StepKind, StepState, StepStatus, Timeline
from tests.support import until_blocking

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)

FLOW = """
from stepflow import RetryPolicy, Stepflow

app = Stepflow()

def charge(amount):
    if amount < 0:
        raise KeyError("missing")
    return amount

@app.workflow("order", retry=RetryPolicy(max_attempts=2, initial=0.01))
async def order(ctx, amount):
    await ctx.step(charge, 1)
    await ctx.vars.incr("turns")
    if await ctx.wait_for_signal("paid", "cancelled", timeout=7200) == "fail":
        await ctx.step("charge again", charge, -1)
    return amount
"""


@pytest.fixture
def flow(folder):
    (folder / "capp.py").write_text(FLOW)


def parked(client, run_id):
    return until_blocking(lambda: client.status(run_id).state == "waiting")


def test_show_and_watch_tell_the_steps_of_a_workflow(flow, at_work, start, client, run, url):
    """[U9] Its waits in words, its errors with the user's own frames; no activation is a step."""
    client.submit("order", 3, run_id="o1")
    parked(client, "o1")
    shown = run("show", "o1").stdout
    assert "now        waits for signal 'paid' or 'cancelled', at most until " in shown
    assert "(in 120 min)" in shown
    assert "park" not in shown
    assert "incr turns" not in shown
    assert "incr turns" in run("show", "o1", "--all").stdout
    listed = run("list").stdout.splitlines()
    assert listed[1].split()[:5] == ["o1", "order", "waiting", "-", "1"]

    watching = start("watch", "o1", STEPFLOW_REDIS_URL=url)
    assert "step 'charge' succeeded in " in watching.stdout.readline()
    assert "run o1 waiting: waits for signal 'paid' or 'cancelled'" in watching.stdout.readline()
    client.signal("o1", "paid", "fail")
    out = watching.stdout.read()
    assert watching.wait(60) == 3
    assert "signal 'paid' succeeded" in out
    assert "step 'charge again' failed in " in out
    assert "after 2 attempts: KeyError: 'missing'" in out
    shown = run("show", "o1").stdout
    assert "step 'charge again' failed, attempt 2:\nTraceback" in shown
    assert 'raise KeyError("missing")' in shown
    steps = json.loads(run("show", "o1", "--json").stdout)["steps"]
    assert [(step["kind"], step["name"], step["state"]) for step in steps] == [
        ("step", "charge", "succeeded"), ("variable", "incr turns", "succeeded"),
        ("signal", "paid", "succeeded"), ("step", "charge again", "failed"),
    ]  # fmt: skip


def test_watch_gives_json_a_document_for_each_change(flow, at_work, start, client, url):
    """[U9] The run's status when it moves, and each step that has come further."""
    client.submit("order", 3, run_id="o1")
    parked(client, "o1")
    watching = start("watch", "o1", "--json", STEPFLOW_REDIS_URL=url)
    assert json.loads(watching.stdout.readline())["state"] == "waiting"
    client.signal("o1", "paid")
    # not `communicate`, which knows nothing of what `readline` has read ahead
    documents = [json.loads(line) for line in watching.stdout.read().splitlines()]
    assert {document["step"]["name"] for document in documents if "run_id" in document} == {
        "charge", "paid,cancelled", "paid"
    }  # fmt: skip
    assert documents[-1]["state"] == "succeeded"


@pytest.mark.crash
def test_dev_says_what_becomes_of_each_step(flow, start, client, url):
    """[U9]"""
    process = start("dev", "capp:app", STEPFLOW_REDIS_URL=url)
    until_blocking(client.workers)
    client.submit("order", 3, run_id="o1")
    parked(client, "o1")
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "run=o1" in line and "waits for signal" in line:
            break
    assert any(line.startswith("run=o1 step 'charge' succeeded in ") for line in seen)
    process.terminate()
    process.communicate(timeout=60)


def test_several_runs_are_shown_one_after_the_other_and_the_worst_exit_code_counts(run, client):
    """[U12]"""
    for name in ("a1", "b1"):
        client.submit("etl", run_id=name)
    both = run("show", "a1", "b1")
    assert both.stdout.count("runner     etl") == 2
    assert [one["id"] for one in json.loads(run("show", "a1", "b1", "--json").stdout)] == [
        "a1", "b1"
    ]  # fmt: skip
    some = run("show", "a1", "nobody")
    assert (some.exit_code, "run        a1" in some.stdout) == (5, True)
    assert "nobody" in some.stderr


def doing(step, state=RunState.WAITING):
    run = RunStatus("r1", "w", state, worker=None)
    return under_way(Timeline(run, [step], is_workflow=True), NOW)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (StepStatus(StepKind.SLEEP, "sleep", StepState.WAITING, until=LATER), "sleeps until "),
        (
            StepStatus(StepKind.SIGNAL, "a,b", StepState.WAITING),
            "waits for signal 'a' or 'b'",
        ),
        (
            StepStatus(
                StepKind.QUESTION, "Publish?", StepState.WAITING, token="r1.ab", until=LATER
            ),
            "(in 2 h): stepflow answer r1.ab JSON",
        ),
        (
            StepStatus(StepKind.CHILD, "leaf", StepState.RUNNING, run_id="c1"),
            "waits for child c1 (leaf, running)",
        ),
        (
            StepStatus(StepKind.MAP, "leaf", StepState.WAITING, done=3, total=9),
            "3 of 9 children have ended; stepflow list --parent r1",
        ),
        (
            StepStatus(StepKind.STEP, "pay", StepState.RETRYING, 2, until=LATER),
            "tries step 'pay', attempt 2, at ",
        ),
        (
            StepStatus(StepKind.STEP, "", StepState.RUNNING, worker="sf-1", started_at=NOW),
            "runs a step since ",
        ),
    ],
)
def test_what_is_open_is_said_in_words(step, words):
    """[U9]"""
    (line,) = doing(step)
    assert words in line


@pytest.mark.parametrize(
    ("kind", "name", "state", "words"),
    [
        (StepKind.QUESTION, "answered", StepState.SUCCEEDED, "question answered"),
        (StepKind.QUESTION, "not answered in time", StepState.TIMED_OUT,
         "question not answered in time"),
        (StepKind.QUESTION, "Publish?", StepState.SUCCEEDED, "question 'Publish?' answered"),
        (StepKind.QUESTION, "Publish?", StepState.TIMED_OUT,
         "question 'Publish?' not answered in time"),
        (StepKind.QUESTION, "Publish?", StepState.CANCELLED, "question 'Publish?' cancelled"),
        (StepKind.CHILD, "all of them", StepState.SUCCEEDED, "its children have ended"),
        (StepKind.CHILD, "all of them", StepState.WAITING, "waits for its children to end"),
    ],
)  # fmt: skip
def test_what_is_settled_is_said_in_words(kind, name, state, words):
    assert told(StepStatus(kind, name, state), NOW) == words


def test_a_time_says_how_far_away_it_is():
    assert when(LATER, NOW).endswith(" (in 2 h)")
    assert when(NOW, LATER).endswith(" (2 h ago)")


def test_a_step_is_told_again_only_when_it_has_come_further():
    """[U9] Also after the run has continued as new, in which places begin anew."""
    run = RunStatus("r1", "w", RunState.RUNNING)
    step = StepStatus(StepKind.STEP, "pay", StepState.RETRYING, 2, place="0")
    failed = StepStatus(
        StepKind.STEP, "pay", StepState.FAILED, 2, place="0", error=ErrorInfo("KeyError", "x\ny")
    )
    changes = Changes()
    assert changes.of(Timeline(run, [step], is_workflow=True)) == [step]
    assert changes.of(Timeline(run, [step], is_workflow=True)) == []
    assert changes.of(Timeline(run, [failed], is_workflow=True)) == [failed]
    assert changes.of(Timeline(run, [failed], is_workflow=True, restarts=1)) == [failed]
    assert told(failed, NOW) == "step 'pay' failed after 2 attempts: KeyError: x y"

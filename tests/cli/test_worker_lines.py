"""What a worker says of itself: its lines as JSON, and its state in `stepflow workers`."""

import json
import logging
from contextvars import copy_context

import pytest

from stepflow import logs
from stepflow.cli.worker.json_lines import JsonLines
from tests.support import until_blocking

#: real processes, seconds each
pytestmark = pytest.mark.crash

APP = """
import logging, time
from stepflow import Stepflow, Succeed, log

app = Stepflow()

@app.runner("talks")
async def talks(step):
    step.log.warning("a word", extra={"amount": 3})
    logging.getLogger("mine").warning("my own")
    return Succeed(None)

@app.runner("raises")
async def raises(step):
    raise KeyError("missing")

@app.runner("blocks")
async def blocks(step):
    time.sleep(6)
    return Succeed(None)
"""


@pytest.fixture
def talking(start, url, folder, client):
    """Start a worker that logs JSON."""
    (folder / "talk.py").write_text(APP)

    def begin(*options):
        process = start("worker", "talk:app", *options, STEPFLOW_REDIS_URL=url)
        until_blocking(lambda: process.poll() is not None or client.workers())
        return process

    return begin


def test_a_worker_logs_one_json_object_a_line(talking, client):
    """[U13] With the step it is about, the worker, and a traceback as one field."""
    process = talking("--json")
    client.submit("talks", run_id="t1").wait(60)
    client.submit("raises", run_id="r1").wait(30)
    (worker,) = client.workers()
    process.terminate()
    lines = [json.loads(line) for line in process.communicate(timeout=60)[1].splitlines()]
    assert {line["worker"] for line in lines} == {worker.name}
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    (word,) = [line for line in lines if line["message"].endswith("a word")]
    assert (word["run"], word["step"], word["attempt"], word["amount"]) == ("t1", 0, 1, 3)
    assert word["level"] == "warning"
    (own,) = [line for line in lines if line["logger"] == "mine"]
    assert (own["message"], own["run"], own["step"]) == ("my own", "t1", 0)
    failed = [line for line in lines if line.get("run") == "r1" and "KeyError" in str(line)]
    assert failed
    assert all(line["step"] == 0 for line in failed)


def record(message, *args, name="stepflow.run", **more):
    made = logging.makeLogRecord({"name": name, "levelname": "INFO", "msg": message, "args": args})
    vars(made).update(more)
    return json.loads(JsonLines("w").format(made))


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("run=a1 step=3 failed (TimeoutError); attempt 2 of 5 in 8 s", ("a1", 3, 2)),
        ("run=a1 step 'charge it' attempt 1 of 3 failed: KeyError: 'x'", ("a1", "charge it", 1)),
        ("run=a1: paused", ("a1", None, None)),
        ("worker w begins", (None, None, None)),
    ],
)
def test_what_a_line_of_ours_says_in_words_is_in_its_fields(message, found):
    """[U13]"""
    line = record(message)
    assert tuple(line.get(name) for name in ("run", "step", "attempt")) == found
    theirs = record(message, name="mine")
    assert "run" not in theirs


def test_a_line_of_any_value_is_json_and_keeps_its_own_fields():
    """[U13]"""
    error = KeyError("x")
    caught = (KeyError, error, None)
    line = record("%s it", "do", exc_info=caught, odd={1, 2}, time="mine", worker="mine")
    assert (line["message"], line["odd"], line["worker"]) == ("do it", "{1, 2}", "w")
    assert line["time"] != "mine"
    assert line["traceback"].endswith("KeyError: 'x'")


def test_the_step_that_code_belongs_to_is_in_its_lines():
    """[U13]"""

    def in_the_step():
        logs.enter(logs.StepFacts("a1", "order", "charge", 2))
        return record("said", name="mine")

    line = copy_context().run(in_the_step)
    assert (line["run"], line["runner"], line["step"], line["attempt"]) == (
        "a1", "order", "charge", 2,
    )  # fmt: skip


def test_a_worker_whose_loop_is_blocked_says_so(talking, client, run):
    """[U13]"""
    process = talking("--lease", "5")
    client.submit("blocks")
    until_blocking(lambda: [worker.state for worker in client.workers()] == ["blocked"])
    assert " blocked " in run("workers").stdout
    process.terminate()
    process.communicate(timeout=60)


def test_a_worker_that_was_told_to_stop_says_that_it_is_leaving(start, url, client):
    """[U13]"""
    process = start("worker", "capp:app", STEPFLOW_REDIS_URL=url)
    client.submit("waits", run_id="w1")
    until_blocking(lambda: client.status("w1").state == "running")
    assert [(each.state, each.running) for each in client.workers()] == [("busy", 1)]
    process.terminate()
    until_blocking(lambda: [worker.state for worker in client.workers()] == ["leaving"])
    client.cancel("w1")
    process.communicate(timeout=60)
    assert process.returncode == 0

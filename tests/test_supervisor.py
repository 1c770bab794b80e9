"""
The supervisor, with shell commands for workers: who is replaced, when, and what is done about those
that stay.
"""

import os
import signal
import time

import pytest

from stepflow import Stepflow
from stepflow.cli.dev.worker import ReloadedWorker
from stepflow.process import LAST_WORDS_S, MARGIN_S
from stepflow.supervisor import PATIENCE_S, WorkerProcess, _ProcessPool
from tests.crash.support.waiting import until

#: says that it takes claims, as a worker does
READY = "echo ready > /dev/fd/$STEPFLOW_READY_FD"


@pytest.fixture
def make_pool():
    """Make a pool of one whose worker is a shell script; what it recovers is noted."""
    made = []

    def make(script, *, found=(), burst=False, grace_s=30.0):
        answers = list(found)

        def recover(name):
            pool.recovered.append(name)
            return answers.pop(0) if answers else 0

        pool = _ProcessPool(["sh", "-c", script, "worker"], recover, burst=burst, grace_s=grace_s)
        pool.recovered, pool.due = [], Starts()
        pool.start()
        made.append(pool)
        return pool

    yield make
    for pool in made:
        for child in pool._children:
            child.process.kill()
            child.process.wait()
            child._ready.close()
        pool.settle()


class Starts(list):
    """When children are to be started: notes how long each was to wait, and lets none wait."""

    def __init__(self):
        self.waits = []

    def append(self, moment):
        self.waits.append(moment - time.monotonic())
        super().append(0.0)


def deaths(pool, count):
    """Look until so many have died; give how long each successor was to wait."""
    until(lambda: pool.look() or len(pool.due.waits) >= count, what="deaths", look_s=0.001)
    return pool.due.waits[:count]


@pytest.mark.parametrize("code", [0, 1, 70, 75, 143])
def test_a_child_that_was_not_told_to_leave_is_replaced_whatever_its_code(make_pool, code):
    """[B2]"""
    pool = make_pool(f"exit {code}")
    assert deaths(pool, 1)[0] <= 0
    until(lambda: pool.recovered, what="its claims")


def test_those_that_had_come_to_work_are_replaced_at_once_however_many_die(make_pool):
    """[B35]"""
    pool = make_pool(f"{READY}; kill -9 $$")
    assert max(deaths(pool, 8)) <= 0
    until(lambda: len(pool.recovered) >= 8, what="the claims of all")


def test_only_the_start_of_those_that_cannot_start_waits(make_pool):
    """[B35]"""
    pool = make_pool("exit 1")
    waits = deaths(pool, 4)
    assert waits == sorted(waits)
    assert waits[0] <= 0 < waits[-1]
    until(lambda: len(pool.recovered) >= 4, what="the claims of all")


def test_a_recovery_that_takes_long_holds_up_neither_another_nor_a_start(make_pool):
    """[B35]"""
    pool = make_pool("exit 1")
    waiting = []

    def never(name):
        waiting.append(name)
        until(lambda: len(waiting) > 1, what="the recovery of another")

    pool._recover = never
    deaths(pool, 2)
    until(lambda: len(waiting) > 1, what="two recoveries at once")


def test_a_burst_ends_by_exit_0_but_not_while_claims_stand_under_the_childs_name(make_pool):
    """[B2]"""
    pool = make_pool("exit 0", burst=True, found=[3, 0])
    until(lambda: pool.look() or not pool.is_busy, what="the end")
    assert len(pool.recovered) == 2
    assert pool.codes == [], "an end without a fault"


def test_a_child_that_does_not_leave_is_killed_and_what_it_held_handed_over(make_pool):
    """[B6]"""
    pool = make_pool(f"trap '' TERM; {READY}; while :; do sleep 0.01; done", grace_s=-PATIENCE_S)
    child = pool._children[0]
    until(lambda: pool.look() or _is_ready(child), what="its trap")
    pool.pass_on(15)
    until(lambda: pool.look() or not pool.is_busy, what="its end")
    assert pool.codes == [-9]
    until(lambda: pool.recovered == [child.name], what="its claims")


def test_a_signal_that_comes_while_children_are_started_starts_no_more(make_pool, monkeypatch):
    pool = make_pool("trap 'exit 0' TERM; while :; do sleep 0.01; done")
    pool.due.extend([0.0, 0.0, 0.0])
    started = WorkerProcess.__init__

    def start_and_be_told(child, command):
        started(child, command)
        pool.pass_on(signal.SIGTERM)

    monkeypatch.setattr(WorkerProcess, "__init__", start_and_be_told)
    until(lambda: pool.look() or not pool.is_busy, what="the end of all", look_s=0.001)
    assert len(pool.codes) == 2  # the one there was, and the one that was just being started


def _is_ready(child):
    try:
        return bool(os.read(child._ready._reader, 8))
    except BlockingIOError:
        return False


def test_the_supervisors_patience_is_longer_than_a_worker_takes():
    """[B6] A worker ends itself, with words, before it is killed."""
    assert MARGIN_S + LAST_WORDS_S < PATIENCE_S


PAID = "name: paid\nsteps:\n  - {id: a, kind: checkpoint, input: {name: x}}\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [(f"{READY}; exit 0", "starting another"), ("exit 1", "when a file changes")],
)
def test_stepflow_dev_replaces_a_worker_that_ended_at_its_work(script, words):
    """[B2] One that cannot start waits for a change."""
    said = []
    worker = ReloadedWorker("json:nothing", [], said.append)
    worker._command = ["sh", "-c", script]
    worker._roots = []
    worker._seen = worker._stamps()
    with worker:
        until(lambda: worker.look() or any(words in line for line in said), what=words)


@pytest.mark.crash
def test_stepflow_dev_restarts_its_worker_for_an_edited_definition(tmp_path):
    """[D2] The worker that starts reads it; runs in flight have their own."""
    (tmp_path / "paid.yaml").write_text(PAID)
    app = Stepflow("redis://localhost:1")
    app.definitions(tmp_path)
    said = []
    worker = ReloadedWorker("json:nothing", [], said.append, data=app.registry.definitions.files)
    worker._command = ["sleep", "1000"]
    with worker:
        worker.look()
        assert said == []
        (tmp_path / "new.yaml").write_text(PAID)
        worker.look()
        assert said == ["changed: new.yaml; restarting the worker"]

import json
import os
import signal

import pytest

from tests.support import until_blocking


def test_submit_and_wait_prints_the_result_and_exits_as_the_run_did(program, at_work):
    done = program("submit", "countdown", '{"n": 3}', "--wait")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"steps": 4})
    failed = program("submit", "fails", "--wait", "--id", "f1")
    assert (failed.returncode, failed.stdout) == (3, "")
    assert "run f1 failed: PermanentError: no luck" in failed.stderr
    shown = json.loads(program("result", "f1", "--json").stdout)
    assert (shown["state"], shown["error"]["type"]) == ("failed", "PermanentError")


def test_show_has_the_steps_and_who_did_them(program, at_work, client, run):
    client.submit("countdown", {"n": 2}, run_id="c1").wait(60)
    (worker,) = client.workers()
    shown = json.loads(run("show", "c1", "--json").stdout)
    assert [(step["number"], step["outcome"], step["worker"]) for step in shown["steps"]] == [
        (0, "continue", worker.name), (1, "continue", worker.name), (2, "succeed", worker.name)
    ]  # fmt: skip


def test_workers_lists_the_process_and_what_it_holds(at_work, client, run):
    client.submit("waits", run_id="w1")
    until_blocking(lambda: client.status("w1").state == "running")
    (worker,) = json.loads(run("workers", "--json").stdout)
    assert (worker["pid"], worker["running"], worker["runners"]) == (
        at_work.pid,
        1,
        ["countdown", "fails", "waits"],
    )
    assert worker["concurrency"] == 100
    assert run("cancel", "w1", "--wait").exit_code == 4


def test_watch_follows_a_run_to_its_end(start, at_work, client, url):
    client.submit("waits", run_id="w1")
    watching = start("watch", "w1", "--json", STEPFLOW_REDIS_URL=url)
    first = json.loads(watching.stdout.readline())
    assert first["state"] in ("pending", "running")
    client.cancel("w1", "seen enough")
    last = watching.communicate()[0].splitlines()[-1]
    assert (watching.returncode, json.loads(last)["reason"]) == (4, "seen enough")


def test_a_dead_letter_is_retried(program, at_work, client):
    client.submit("fails", run_id="f1").wait(60)
    assert program("retry", "f1").returncode == 0
    assert client.wait("f1", 60).state == "failed"


@pytest.mark.crash
def test_a_burst_leaves_when_the_queues_are_empty(program, client):
    runs = [client.submit("countdown", {"n": 1}) for _ in range(5)]
    assert program("worker", "capp:app", "--burst").returncode == 0
    assert {run.status().state for run in runs} == {"succeeded"}


@pytest.mark.crash
def test_a_worker_under_a_supervisor_is_replaced_and_its_steps_run_again(start, url, client, real):
    process = start(
        "worker", "capp:app", "--processes", "2", "--queue", "q1", STEPFLOW_REDIS_URL=url
    )
    until_blocking(lambda: len(client.workers()) == 2)
    client.submit("waits", run_id="w1", queue="q1")
    until_blocking(lambda: client.status("w1").worker)
    first = client.status("w1").worker
    os.kill(next(worker.pid for worker in client.workers() if worker.name == first), signal.SIGKILL)
    until_blocking(lambda: client.status("w1").worker not in (None, first))
    client.cancel("w1")
    assert client.wait("w1", 60).state == "cancelled"
    until_blocking(lambda: len([worker for worker in client.workers() if worker.is_live]) == 2)
    assert first not in [worker.name for worker in client.workers()]
    process.terminate()
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert not list(real.scan_iter("rq:workers:*")), (
        "RQ's sets know neither those that left nor the one that was killed"
    )

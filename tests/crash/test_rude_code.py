"""
User code that forks, exits, blocks, swallows, takes logs and signals away: the worker goes on, or
leaves, as it should.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

APP = "tests.crash.support.rude:app"
#: a `stepflow worker` on the loop of the standard library
WITHOUT_UVLOOP = (
    "import sys; sys.modules['uvloop'] = None; from stepflow.cli.main import main; main()"
)

FORKS = {"child_returns": 0, "child_raises": 1, "child_exits": 7}
HARMLESS = [
    "in_a_group", "in_a_gather", "in_a_leaked_task", "in_callbacks", "raising_alarm",
    "stopped_loop", "in_a_thread", "odd_settings", "taken_signals", "own_signals", "own_processes",
]  # fmt: skip
#: those that fail their attempt
SPENT = {"in_a_group", "in_a_gather"}
DEADLY = [
    "exit 0", "exit 1", "kill", "terminate", "interrupt", "alarm", "segfault", "files", "dump",
    "cancel all", "cancel the others",
]  # fmt: skip
FORKED = ["-m", "stepflow"]
LOOPS = [FORKED, ["-c", WITHOUT_UVLOOP]]


def start(cluster, *arguments, program=FORKED, count=1, **environment):
    """Start the command line's worker, or so many of them, and wait until they listen."""
    begin = ["stepflow"] if program == FORKED else [sys.executable, *program]
    process = cluster.spawn(*begin, "worker", APP, *arguments, **environment)
    until(
        lambda: process.said.count("listens to") == count or not process.is_alive,
        what="the workers",
    )
    return process


def submit(cluster, runner, payloads, **options):
    return [cluster.client.submit(runner, payload, **options).id for payload in payloads]


def results(cluster, runs):
    """Wait for their ends and give what they said."""
    cluster.all_ended(runs)
    return [cluster.client.result(run_id) for run_id in runs]


def leaves(worker, code=0):
    worker.send(signal.SIGTERM)
    assert worker.wait() == code, worker.said


def test_a_hundred_pools_whose_children_are_sent_signals_cost_no_worker(make_cluster):
    """[B1]"""
    cluster = make_cluster()
    crew = start(cluster, "-p", "2", "-c", "4", count=2)
    runs = submit(cluster, "pools", [20] * 3) + submit(cluster, "pools-plain", [20] * 3)
    assert len(set(results(cluster, runs))) <= 2, "more processes than two did the work"
    assert crew.said.count("listens to") == 2
    assert "ended with" not in crew.said
    leaves(crew)


@pytest.mark.parametrize("program", LOOPS)
def test_a_child_forked_by_hand_ends_where_user_code_ends(make_cluster, program):
    """
    [B1] It returns, raises, exits, waits, is told; from the loop's thread or a step's: it never
    does the worker's work.
    """
    cluster = make_cluster()
    worker = start(cluster, program=program)
    assert results(cluster, submit(cluster, "fork", FORKS)) == list(FORKS.values())
    assert results(cluster, submit(cluster, "fork-plain", FORKS)) == list(FORKS.values())
    assert results(cluster, submit(cluster, "fork-workflow", FORKS)) == list(FORKS.values())
    assert results(cluster, submit(cluster, "fork", ["child_waits", "child_is_told"])) == [
        1,
        -signal.SIGTERM,
    ]
    assert "may not wait on the loop of its worker" in worker.said
    assert "ValueError: in the child" in worker.said
    leaves(worker)
    assert worker.said.count("listens to") == worker.said.count("leaves:") == 1


def test_other_ways_to_another_process_work_as_ever(make_cluster):
    """[B1]"""
    cluster = make_cluster()
    worker = start(cluster)
    assert results(cluster, submit(cluster, "other-kinds", [None])) == [
        [0, -signal.SIGTERM, [9], [9], 16]
    ]
    leaves(worker)


@pytest.mark.parametrize("program", LOOPS)
def test_what_comes_out_of_the_loop_does_not_end_the_worker(make_cluster, program):
    """
    [B2] SystemExit and KeyboardInterrupt in tasks and callbacks, a stopped loop, taken signals, odd
    settings.
    """
    cluster = make_cluster()
    worker = start(cluster, program=program)
    beside = submit(cluster, "hello", [0.5] * 5)
    for what in HARMLESS:  # one by one: two that stop the loop at once are told as one
        run = submit(cluster, "harmless", [what])
        assert results(cluster, run) == [worker.popen.pid], what
        assert cluster.status(run[0]).attempt == (2 if what in SPENT else 1), what
    assert results(cluster, beside) == [worker.popen.pid] * len(beside)
    assert {cluster.status(run_id).attempt for run_id in beside} == {1}
    for words in (
        "SystemExit(3) came out of",
        "KeyboardInterrupt() came out of",
        "stopped the worker's loop",
    ):
        assert words in worker.said
    worker.has_said("takes it back")
    assert "keeps it" in worker.said
    leaves(worker)


@pytest.mark.parametrize("what", DEADLY)
def test_a_worker_that_user_code_ends_is_replaced_whatever_its_code(make_cluster, what):
    """[B2]"""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=300, STEPFLOW_WORKER_GRACE_S=0.5)
    crew = start(cluster, "-p", "2", "-c", "4", count=2)
    results(cluster, submit(cluster, "deadly", [what]))
    until(lambda: crew.said.count("listens to") == 3, what="the successor")
    assert crew.said.count("ended with") == 1
    leaves(crew)


@pytest.mark.parametrize("what", ["cancel all", "cancel the others"])
def test_a_worker_whose_own_tasks_are_cancelled_says_so_by_its_exit_code(make_cluster, what):
    """[B2]"""
    cluster = make_cluster()
    worker = start(cluster)
    submit(cluster, "deadly", [what])
    assert worker.wait() == 70
    assert "user code cancelled the worker's own tasks" in worker.said


def test_a_child_of_a_burst_that_exits_with_0_in_its_work_is_replaced(make_cluster):
    """[B2]"""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=300)
    runs = submit(cluster, "deadly", ["exit 0"]) + submit(cluster, "hello", [0.1] * 20)
    crew = cluster.spawn("stepflow", "worker", APP, "-p", "2", "-c", "4", "--burst")
    assert crew.wait() == 0
    assert {cluster.status(run_id).state for run_id in runs} == {"succeeded"}
    assert "ended with 0 in the middle of its work" in crew.said


STICKY = {
    "swallow": 0, "threads": 0, "children": 0, "hooks": 0, "handler": 0, "generator": 0, "plain": 0,
    "sleep_on_the_loop": 75, "spin": 75, "wait_in_c": 75,
}  # fmt: skip


def stuck(cluster, names, *arguments):
    """Start a worker for each name and have it do that."""
    workers = {}
    for name in names:
        queue = name.replace("_", "-")
        workers[name] = cluster.spawn("stepflow", "worker", APP, "-q", queue, *arguments)
        cluster.client.submit(
            "sticky-plain" if name == "plain" else "sticky", name, run_id=name, queue=queue
        )
    for name in names:
        until(
            lambda name=name: f"{name} done" in cluster.witness.read_text(), what=f"{name} to begin"
        )
    return workers


def test_a_worker_is_gone_ten_seconds_after_its_grace_whatever_user_code_does(make_cluster):
    """
    [B6] And what could be handed back was: it waits for the next worker, and nothing was counted.
    """
    cluster = make_cluster(STEPFLOW_WORKER_GRACE_S=1, STEPFLOW_WORKER_LEASE_S=300)
    workers = stuck(cluster, STICKY)
    for worker in workers.values():
        worker.send(signal.SIGTERM)
    assert {name: worker.wait() for name, worker in workers.items()} == STICKY
    for name in [name for name, code in STICKY.items() if code == 0 and name != "generator"]:
        status = cluster.status(name)
        assert (status.state, status.attempt, status.crashes) == ("pending", 1, 0), name
    assert "run=spin" in workers["spin"].said
    assert "in spin" in workers["spin"].said, "it says what kept it"


def test_a_supervisor_hands_over_what_a_child_held_that_had_to_be_ended(make_cluster):
    """[B6]"""
    cluster = make_cluster(STEPFLOW_WORKER_GRACE_S=0.5, STEPFLOW_WORKER_LEASE_S=300)
    crew = stuck(cluster, ["spin"], "-p", "2")["spin"]
    crew.send(signal.SIGTERM)
    crew.wait()
    assert cluster.status("spin").state == "pending"


def test_a_second_signal_ends_a_worker_whose_loop_is_blocked(make_cluster):
    """[B6]"""
    cluster = make_cluster(STEPFLOW_WORKER_GRACE_S=300)
    workers = stuck(cluster, ["spin", "wait_in_c"])
    for worker in workers.values():
        worker.send(signal.SIGTERM)
        until(
            lambda pid=worker.popen.pid: not is_pending(pid, signal.SIGTERM),
            what="the signal to be taken",
        )
        worker.send(signal.SIGTERM)
        assert worker.wait() == 128 + signal.SIGTERM
        assert "second signal" in worker.said


def is_pending(pid, number):
    """Say whether a signal waits to be taken by a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = next(line for line in lines if line.startswith("ShdPnd"))
    return bool(int(pending.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("arguments", [["--burst"], ["--burst", "-p", "2"]])
def test_a_thread_that_the_app_starts_at_its_import_keeps_neither_worker_nor_supervisor(
    make_cluster, arguments
):
    """[B6]"""
    cluster = make_cluster(STEPFLOW_WORKER_GRACE_S=300)
    runs = submit(cluster, "hello", [0])
    worker = cluster.spawn("stepflow", "worker", APP, *arguments, CRASH_THREAD=1)
    assert worker.wait() == 0
    assert cluster.status(runs[0]).state == "succeeded"


def test_nor_a_worker_that_finds_no_redis(make_cluster):
    """[B6]"""
    cluster = make_cluster(STEPFLOW_REDIS_RETRY_FOR_S=0.2)
    cluster.server.kill()
    worker = cluster.spawn("stepflow", "worker", APP, CRASH_THREAD=1)
    assert worker.wait() == 7


def test_rqs_own_command_line_leaves_threads_of_user_code_as_well(make_cluster):
    """[B6]"""
    cluster = make_cluster(STEPFLOW_WORKER_GRACE_S=1)
    worker = cluster.rq(
        "worker",
        "-w",
        "stepflow.entry.RQWorker",
        "-u",
        cluster.server.url,
        "default",
        STEPFLOW_APP=APP,
    )
    cluster.client.submit("sticky", "threads", run_id="threads")
    until(lambda: "threads done" in cluster.witness.read_text(), what="the threads")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


@pytest.mark.parametrize(
    "way", ["dictConfig", "no handlers", "a file", "disable", "ours to a file", "raising"]
)
def test_the_workers_own_lines_come_out_whatever_the_app_does_to_logging(make_cluster, way):
    """[B11] At its import, and later in a step."""
    cluster = make_cluster()
    early = start(cluster, "-q", "early", CRASH_LOGGING=way)
    later = start(cluster, "-q", "later")
    results(cluster, submit(cluster, "hello", [0], queue="early", run_id="hello-early"))
    results(cluster, submit(cluster, "configure", [way], queue="later", run_id="configured"))
    results(cluster, submit(cluster, "hello", [0], queue="later", run_id="hello-later"))
    for worker, run_id in ((early, "hello-early"), (later, "hello-later")):
        leaves(worker)
        assert worker.said.count("listens to") == 1, worker.said
        assert worker.said.count(f"run={run_id} succeeded") == 1, worker.said
        assert worker.said.count("leaves:") == 1, worker.said


def test_a_level_that_the_app_sets_for_our_lines_is_obeyed(make_cluster):
    """[B11]"""
    cluster = make_cluster()
    runs = submit(cluster, "hello", [0])
    worker = cluster.spawn("stepflow", "worker", APP, CRASH_LOGGING="ours quiet")
    results(cluster, runs)
    leaves(worker)
    assert "INFO" not in worker.said


def test_a_closed_stderr_takes_neither_lines_nor_connections_away(make_cluster):
    """
    [B11] The next connection is given the number of the file that was closed: what is printed must
    not go there.
    """
    cluster = make_cluster()
    worker = start(cluster)
    results(cluster, submit(cluster, "closed-stderr", [None]))
    cluster.server.client.client_kill_filter(_type="normal", skipme=True)
    results(cluster, submit(cluster, "hello", [0], run_id="hello"))
    leaves(worker)
    assert "run=hello succeeded" in worker.said


def test_what_a_dead_worker_held_is_handed_over_before_its_successor_has_started(make_cluster):
    """
    [B35] Killed again and again as soon as it is at work, with nobody beside it, and starting
    slowly.
    """
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=300)
    supervisor = cluster.program("supervisor", "--processes", "1", CRASH_SLOW_IMPORT=2)
    for number in range(1, 5):
        until(lambda number=number: supervisor.said.count("listens to") == number, what="a worker")
        run = cluster.client.submit(
            "chain", {"steps": 1, "trail": [], "pause": 60}, run_id=f"r-{number}"
        ).id
        until(lambda run=run: run in cluster.witness.read_text(), what="its step")
        line = next(
            line for line in cluster.witness.read_text().splitlines() if line.startswith(run)
        )
        os.kill(int(line.split()[3]), signal.SIGKILL)
        cluster.reached(run, "pending")
        assert supervisor.said.count("listens to") == number, "no successor is there yet"
        cluster.client.cancel(run)

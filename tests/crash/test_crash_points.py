"""
A process is killed at each named point of the engine, the first time it passes there and later:
nothing is lost. Those of groups and limits are in files of their own, `groups/test_groups.py` and
`limits/test_steps.py`; those of large values are in `tests/offload/test_killed.py`.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from stepflow import RunSpec
from stepflow.core import probes
from tests.crash.support.app import path
from tests.crash.support.checker import check

pytestmark = pytest.mark.crash

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ("submit.ready", "submit.done")
SUPERVISED = ("supervise.dead",)
#: those with tests of their own
ELSEWHERE = ("group.", "limit.", "offload.")
#: what a worker passes only when another died before it
AFTER_ANOTHER = ("recover.ready", "recover.done")
WORKERS = [
    point
    for point in probes.POINTS
    if point not in (*CLIENTS, *SUPERVISED, *AFTER_ANOTHER) and not point.startswith(ELSEWHERE)
]


def test_every_point_is_passed_somewhere_and_named_once():
    engine = "".join(
        file.read_text() for file in (ROOT / "stepflow").rglob("*.py") if file.name != "probes.py"
    )
    assert {
        point: engine.count(f'probes.at("{point}")') for point in probes.POINTS
    } == dict.fromkeys(probes.POINTS, 1)


def mixture() -> list[RunSpec]:
    """
    Runs of every kind that pass the points: chains, retries, delays, workflows, one that only a
    deadline ends.
    """
    return [
        *(RunSpec("chain", path(4, pause=0.02), run_id=f"chain-{n}") for n in range(6)),
        *(RunSpec("flaky", path(2), run_id=f"flaky-{n}") for n in range(3)),
        *(RunSpec("delayed", path(2), run_id=f"delayed-{n}") for n in range(3)),
        *(RunSpec("verdict", path(3), run_id=f"verdict-{n}") for n in range(2)),
        *(RunSpec("steps", 5, run_id=f"steps-{n}") for n in range(3)),
        RunSpec("listener", path(1), run_id="listener", timeout=2.0),
    ]


EXPECTED = {
    spec.run_id: {"verdict": "failed", "listener": "failed"}.get(spec.runner, "succeeded")
    for spec in mixture()
}


@pytest.mark.parametrize(
    ("point", "times"),
    [
        (point, times)
        for point in WORKERS
        for times in (1, 5)
        if (point, times) != ("cancel.ready", 5)
    ],
)
def test_a_worker_killed_there_costs_nothing(make_cluster, point, times):
    """[C13] [C15] [C16] [C34] [F2]"""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    doomed = cluster.worker("--concurrency", "4", CRASH_AT=f"{point}:{times}")
    runs = cluster.submit(mixture())
    assert doomed.wait() == -signal.SIGKILL
    cluster.worker("--concurrency", "4")
    cluster.all_ended(runs)
    assert check(cluster, EXPECTED).all() == []


@pytest.mark.parametrize("point", AFTER_ANOTHER)
def test_a_worker_killed_while_it_recovers_what_another_held_costs_nothing(make_cluster, point):
    """[C15] [C16]"""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    first = cluster.worker("--concurrency", "4", CRASH_AT="execute.done:3")
    runs = cluster.submit(mixture())
    assert first.wait() == -signal.SIGKILL
    second = cluster.worker("--concurrency", "4", ready=False, CRASH_AT=f"{point}:1")
    assert second.wait() == -signal.SIGKILL
    cluster.worker("--concurrency", "4")
    cluster.all_ended(runs)
    assert check(cluster, EXPECTED).all() == []


def test_a_supervisor_killed_before_it_took_up_what_its_worker_held_costs_nothing(make_cluster):
    """[C15]"""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    supervisor = cluster.program(
        "supervisor", "--processes", "1", "--concurrency", "4", CRASH_AT="supervise.dead:1"
    )
    supervisor.has_said("listens to")
    runs = cluster.submit([*mixture()[:-1], RunSpec("poison", run_id="poison")])
    assert supervisor.wait() == -signal.SIGKILL
    cluster.client.cancel("poison", "enough")
    cluster.worker("--concurrency", "4")
    cluster.all_ended(runs)


@pytest.mark.parametrize("point", CLIENTS)
def test_a_client_killed_there_leaves_a_whole_run_or_none(make_cluster, point):
    """[C1] [C3]"""
    cluster = make_cluster()
    client = cluster.program("submit", "--prefix", "k", CRASH_AT=f"{point}:3")
    assert client.wait() == -signal.SIGKILL
    made = [f"k-one-{n}" for n in range(20) if cluster.client.status(f"k-one-{n}") is not None]
    assert made == [f"k-one-{n}" for n in range(2 if point == "submit.ready" else 3)]
    cluster.worker()
    cluster.all_ended(made)
    assert {cluster.status(run_id).state.value for run_id in made} == {"succeeded"}

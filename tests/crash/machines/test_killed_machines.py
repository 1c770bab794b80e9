"""Workers are killed while machines are in all their states."""

from __future__ import annotations

from collections import Counter

import pytest

from stepflow import RunSpec
from tests.crash.support.checker import nothing_left_over
from tests.crash.support.cluster import Cluster
from tests.crash.support.killing import Killer

pytestmark = pytest.mark.crash

OPTIONS = ("--app", "tests.crash.machines.app:app", "--concurrency", "10")
ROUNDS = 3
DONE = [
    name
    for visit in range(1, ROUNDS + 1)
    for name in (f"work-{visit}", *(f"page-{visit}-{at}" for at in (3, 4, 5)))
]
WAY = ["work", "split", "pages"] * ROUNDS + ["end"]


def journal_of(cluster: Cluster, run_id: str) -> list[tuple[str, str, str]]:
    """Read kind, place and name of each entry."""
    journal = cluster.server.client.lrange(f"stepflow:run:{run_id}:journal", 0, -1)
    parts = (entry.decode("latin-1").split("|", 3) for entry in journal)
    return [(kind, place, name) for kind, place, name, _ in parts]


def way_of(journal: list[tuple[str, str, str]]) -> list[str]:
    return [name for _, place, name in journal if place.endswith(".enter")]


def seen_by_code(cluster: Cluster) -> Counter[str]:
    return Counter(filter(None, cluster.witness.read_text().split("\n")))


def test_machines_go_their_way_though_workers_are_killed_at_random(make_cluster):
    """[M1] [M4] [M6] Each state is entered once, each branch and page has one answer."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    attack = Killer(cluster, *OPTIONS, seed=16, pause_s=0.3, most=6)
    specs = (RunSpec("tour", {"rounds": ROUNDS}, run_id=f"t-{n}") for n in range(40))
    runs = cluster.submit(specs)
    cluster.all_ended(runs, also=attack)
    assert attack.kills >= 2
    for run_id in runs:
        result = cluster.status(run_id).result
        assert result["state"] == "end", run_id
        assert result["data"]["done"] == DONE, run_id
        journal = journal_of(cluster, run_id)
        assert set(Counter(place for _, place, _ in journal).values()) == {1}, run_id
        assert way_of(journal) == WAY, run_id
    done = seen_by_code(cluster)
    assert sum(count - 1 for count in done.values()) > 0, "no kill cost a step: the attack missed"
    nothing_left_over(cluster)


def test_polls_timers_and_compensations_of_machines_hold_though_workers_are_killed_at_random(
    make_cluster,
):
    """
    [M1] [M5] Half of the runs fail in their last state: what they did is undone, the last first.

    A compensation may begin twice, and counts once; it gets the data as the state left them.
    """
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    attack = Killer(cluster, *OPTIONS, seed=17, pause_s=0.25, most=12)
    runs = cluster.submit(
        RunSpec("trip", {"fails": n % 2 == 0}, run_id=f"p-{n}") for n in range(40)
    )
    cluster.all_ended(runs, also=attack)
    assert attack.kills >= 3
    seen = seen_by_code(cluster)
    for n, run_id in enumerate(runs):
        status, journal = cluster.status(run_id), journal_of(cluster, run_id)
        ended = [] if n % 2 == 0 else ["done"]
        assert way_of(journal) == ["book", "come", "wait", "pay", *ended], run_id
        assert seen[f"{run_id} come"] >= 3, run_id
        assert not status.compensation_errors, run_id
        undone = [name for kind, _, name in journal if kind == "value" and name.startswith("undo")]
        if n % 2:
            assert status.result == {
                "state": "done", "data": {"fails": False, "done": ["book", "come", "pay"]},
            }, run_id  # fmt: skip
            assert undone == [], run_id
        else:
            assert (status.state, "no money" in status.error.message) == ("failed", True), run_id
            assert undone == ["undo come", "undo book"], run_id
            assert seen[f"{run_id} undo book+come"] >= 1, run_id
            assert seen[f"{run_id} undo book"] >= 1, run_id
    once = {line: count for line, count in seen.items() if not line.endswith(" come")}
    assert sum(once.values()) > len(once), "no kill cost a step: the attack missed"
    nothing_left_over(cluster)

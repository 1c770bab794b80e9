"""
Workers are killed while workflows are in all their states; what was durable is not done again, the
end is the same.
"""

from collections import Counter
from contextlib import suppress

import pytest

from stepflow import RunSpec, SignalRefused
from stepflow.core.journal import read_batch
from stepflow.store.values.codec import unpack
from tests.crash.support.checker import nothing_left_over
from tests.crash.support.killing import Killer
from tests.support import runs_of

pytestmark = pytest.mark.crash

STEADY = ["first", "at-once-0", "at-once-1", "at-once-2"]
BRANCHES = {f"branch-{n}-{k}" for n in range(2) for k in range(2)}


def test_workflows_end_as_they_should_though_workers_are_killed_at_random(make_cluster):
    """[F1] [F2] [F4] [F9] [F10]"""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    killer = Killer(cluster, "--concurrency", "10", seed=11, most=8)
    runs = cluster.submit(RunSpec("flow", 0.3, run_id=f"f-{n}") for n in range(40))
    for run_id in runs[::2]:  # before they ask; the others are told while they wait
        cluster.client.signal(run_id, "word", "early", dedup="once")

    def attack() -> None:
        killer()
        for run_id in runs[1::2] if killer.kills >= 4 else ():
            if not cluster.status(run_id).is_finished:
                with suppress(SignalRefused):  # it has ended meanwhile
                    cluster.client.signal(run_id, "word", "late", dedup="once")

    cluster.all_ended(runs, also=attack)
    assert killer.kills >= 4
    redis = cluster.server.client
    done = Counter(cluster.witness.read_text().split("\n"))
    for n, run_id in enumerate(runs):
        told = cluster.status(run_id).result
        assert told[:4] == STEADY, run_id
        assert set(told[4:8]) == BRANCHES, run_id
        assert told[8:11] == ["flaky", "early" if n % 2 == 0 else "late", "last"], run_id
        journal = redis.lrange(f"stepflow:run:{run_id}:journal", 0, -1)
        answers = Counter(
            entry.split(b"|")[1]
            for entry in journal
            if entry.split(b"|")[0] in (b"value", b"signal", b"over")
        )
        assert set(answers.values()) == {1}, f"{run_id}: one answer for each place"
        order = [entry.split(b"|")[2].decode() for entry in journal if entry.startswith(b"value|")]
        assert [name for name in order if name in BRANCHES] == told[4:8], (
            f"{run_id}: told in the order remembered"
        )
    again = sum(count - 1 for line, count in done.items() if line and not line.endswith("flaky"))
    assert again > 0, "no kill cost a step: the attack missed"
    nothing_left_over(cluster)


def test_timers_fire_once_and_memos_stay_though_workers_are_killed_at_random(make_cluster):
    """[G8] [G5]"""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    killer = Killer(cluster, "--concurrency", "10", seed=17, most=8, pause_s=0.4)
    runs = cluster.submit(RunSpec("timed", 4, run_id=f"t-{n}") for n in range(30))
    cluster.all_ended(runs, also=killer)
    assert killer.kills >= 4
    done = Counter(cluster.witness.read_text().split("\n"))
    for run_id in runs:
        assert cluster.status(run_id).result == {
            "slept": [f"slept-{n}" for n in range(4)], "late": True, "pages": [*range(6)],
        }  # fmt: skip
        journal = cluster.server.client.lrange(f"stepflow:run:{run_id}:journal", 0, -1)
        fired = Counter(entry.split(b"|")[1] for entry in journal if entry.startswith(b"timer|"))
        assert len(fired) == 5, f"{run_id}: four naps and one timeout"
        assert set(fired.values()) == {1}
        assert len([entry for entry in journal if entry.startswith(b"memo|")]) == 6
        for page in range(6):  # a page that is in the memo is not gone through again
            assert done[f"{run_id} page {page}"] <= 1 + killer.kills
    again = sum(count - 1 for line, count in done.items() if line)
    assert again > 0, "no kill cost a step: the attack missed"
    assert again < 10 * killer.kills, "what was remembered was done again"
    nothing_left_over(cluster)


def test_what_was_done_is_undone_once_though_workers_are_killed_at_random(make_cluster):
    """
    [F15] Half of the runs fail, half are cancelled while they wait; a compensation may begin twice,
    and counts once.
    """
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    killer = Killer(cluster, "--concurrency", "10", seed=12, most=10, pause_s=0.4)
    runs = cluster.submit(RunSpec("saga", 0.2, run_id=f"s-{n}") for n in range(30))

    def attack() -> None:
        killer()
        if killer.kills >= 3:
            for n, run_id in enumerate(runs):
                with suppress(SignalRefused):
                    if n % 2:
                        cluster.client.cancel(run_id, "enough")
                    else:
                        cluster.client.signal(run_id, "word", dedup="once")

    cluster.all_ended(runs, also=attack)
    assert killer.kills >= 3
    redis = cluster.server.client
    undone = 0
    for n, run_id in enumerate(runs):
        assert cluster.status(run_id).state == ("cancelled" if n % 2 else "failed"), run_id
        assert not cluster.status(run_id).compensation_errors
        journal = redis.lrange(f"stepflow:run:{run_id}:journal", 0, -1)
        values = [entry.split(b"|")[2].decode() for entry in journal if entry.startswith(b"value|")]
        books = [name for name in values if name.startswith("book")]
        assert [name for name in values if name.startswith("undo")] == [
            f"undo {name}" for name in reversed(books)
        ]
        undone += len(books)
    assert undone > len(runs), "the cancels came before anything was done"
    nothing_left_over(cluster)


def test_children_are_made_and_told_of_once_though_workers_are_killed_at_random(make_cluster):
    """
    [F13] [F14] Maps over two hundred children; a tree of runs that wait for ever is cancelled in
    the middle of it.
    """
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    killer = Killer(cluster, "--concurrency", "20", seed=13, most=8, pause_s=0.4)
    runs = cluster.submit(RunSpec("whole", 50, run_id=f"w-{n}") for n in range(4))
    (tree,) = cluster.submit([RunSpec("whole", -3, run_id="tree")])
    redis = cluster.server.client

    def leaves_that_wait() -> int:
        waits = [redis.hget(f"stepflow:run:{one}", "waits_for") for one in runs_of(redis, "whole")]
        return sum(b"never" in (waits_for or b"") for waits_for in waits)

    def attack() -> None:
        killer()
        if leaves_that_wait() == 8:
            cluster.client.cancel(tree, "enough")

    cluster.all_ended([*runs, tree], also=attack)
    assert killer.kills >= 4
    for run_id in runs:
        assert cluster.status(run_id).result == {"parts": [*range(50), -1]}, run_id
        assert redis.scard(f"stepflow:run:{run_id}:children:0") == 0
    parts, wholes = (runs_of(redis, name) for name in ("part", "whole"))
    assert (len(parts), len(wholes)) == (4 * 51 + 15, 4 + 15)
    assert all(cluster.status(run_id).is_finished for run_id in parts), (
        "the tree ended after its leaves"
    )
    assert [cluster.status(run_id).state for run_id in wholes].count("cancelled") == 15
    assert {redis.hget(f"stepflow:run:{run_id}", "ends") for run_id in [*parts, *wholes]} == {b"1"}
    done = Counter(cluster.witness.read_text().split("\n"))
    assert sum(count - 1 for line, count in done.items() if line) > 0, (
        "no kill cost a step: the attack missed"
    )
    nothing_left_over(cluster)


def test_only_items_without_an_answer_are_done_again_though_workers_are_killed(make_cluster):
    """[K4] Each kill costs at most as many calls as were in progress."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    killer = Killer(cluster, "--concurrency", "4", seed=15, most=6, pause_s=0.4)
    runs = cluster.submit(RunSpec("many", 500, run_id=f"m-{n}") for n in range(4))
    cluster.all_ended(runs, also=killer)
    assert killer.kills >= 3
    redis = cluster.server.client
    done = Counter(cluster.witness.read_text().split("\n"))
    for run_id in runs:
        assert cluster.status(run_id).result == {"failed": list(range(9, 500, 10))}, run_id
        answered: Counter[int] = Counter()
        for entry in redis.lrange(f"stepflow:run:{run_id}:journal", 0, -1):
            _, answers = read_batch(entry.split(b"|", 4)[4])
            answered.update(index for index, *_ in unpack(answers))
        assert set(answered.values()) == {1}, f"{run_id}: one answer for each item"
        again = sum(done[f"{run_id} item {number}"] - 1 for number in range(500))
        assert again <= 10 * killer.kills, run_id
    assert sum(count - 1 for line, count in done.items() if line) > 0, "the attack missed"
    nothing_left_over(cluster)


def test_thirty_steps_with_everything_in_them_end_the_same_though_workers_are_killed(make_cluster):
    """
    [F1] [F2] [F4] [F9] [F10] [F13] [F15] No value is answered twice; half of the runs fail in the
    end and are undone.
    """
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    killer = Killer(cluster, "--concurrency", "10", seed=14, most=10, pause_s=0.35)
    runs = cluster.submit(RunSpec("thirty", n % 2 == 1, run_id=f"t-{n}") for n in range(16))
    for run_id in runs:
        cluster.client.signal(run_id, "word", "said", dedup="once")
    cluster.all_ended(runs, also=killer)
    assert killer.kills >= 4
    redis = cluster.server.client
    told = [cluster.status(run_id).result for run_id in runs[::2]]
    assert len(told[0]) == 4 + 8 + 3 + 3 + 8
    assert all(each[4:] == told[0][4:] for each in told)
    for n, run_id in enumerate(runs):
        assert cluster.status(run_id).state == ("failed" if n % 2 else "succeeded"), run_id
        entries = [
            entry.split(b"|", 3) for entry in redis.lrange(f"stepflow:run:{run_id}:journal", 0, -1)
        ]
        places = Counter(place for kind, place, *_ in entries if kind not in (b"try", b"due"))
        assert set(places.values()) == {1}, f"{run_id}: one answer for each place"
        values = [name.decode() for kind, _, name, _ in entries if kind == b"value"]
        undone = [f"undo book {k}" for k in reversed(range(4))] if n % 2 else []
        assert [name for name in values if name.startswith("undo")] == undone, run_id
    assert len(runs_of(redis, "part")) == len(runs)
    done = Counter(cluster.witness.read_text().split("\n"))
    again = sum(count - 1 for line, count in done.items() if line and not line.endswith("flaky"))
    assert again > 0, "no kill cost a step: the attack missed"
    nothing_left_over(cluster)

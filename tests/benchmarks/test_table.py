"""What the benchmark's table makes of the lines it is given; nothing is measured here."""

from importlib.util import find_spec

import pytest

from benchmarks import table
from benchmarks.catalogue import WORKLOADS
from benchmarks.peers.catalogue import PACKAGES, lines


def row(peer, workload="W1", **figures):
    found = {
        "peer": peer,
        "workload": workload,
        "n": 10,
        "p99_ms": None,
        "rss_mb": None,
        "foreign_cpu": 0.0,
        **figures,
    }
    return found | {
        f"{name}_{end}": value for name, value in figures.items() for end in ("min", "max")
    }


def related(*rows, ceiling=1000.0):
    return {row["peer"]: row for row in table.related(list(rows), ceiling)}


def test_a_rate_is_set_beside_the_ceiling_and_the_best_peer():
    found = related(
        row("stepflow/chain", steps_per_s=800),
        row("rq/simple", steps_per_s=50),
        row("dbos/pg", steps_per_s=100),
    )

    assert found["stepflow/chain"]["ratio_to_limit"] == 0.8
    assert found["stepflow/chain"]["ratio_to_best_peer"] == 8.0
    assert found["stepflow/chain"]["best_peer"] == "dbos/pg"
    assert found["rq/simple"]["ratio_to_best_peer"] is None


def test_half_the_time_of_the_best_peer_is_a_ratio_of_two():
    found = related(row("stepflow/chain", "W2", p50_ms=10.0), row("rq/simple", "W2", p50_ms=20.0))

    assert found["stepflow/chain"]["ratio_to_best_peer"] == 2.0
    assert found["stepflow/chain"]["ratio_to_limit"] is None


def test_what_keeps_steps_in_memory_only_is_no_best_peer():
    found = related(
        row("stepflow/chain", steps_per_s=800),
        row("resonate/memory", steps_per_s=700),
        row("rq/simple", steps_per_s=50),
    )

    assert found["stepflow/chain"]["best_peer"] == "rq/simple"


def test_without_peers_there_is_no_best_one():
    assert related(row("stepflow", "W3", per_s=5))["stepflow"]["ratio_to_best_peer"] is None


def test_stepflow_stands_first_then_the_peers_the_best_first():
    rows = [
        row("rq/simple", steps_per_s=50),
        row("dbos/pg", steps_per_s=100),
        row("stepflow/chain", steps_per_s=10),
    ]

    shown = [line.split("|")[2].strip() for line in table.lines(table.related(rows, 1000.0))]

    assert shown[2:] == ["stepflow/chain", "dbos/pg", "rq/simple"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_line_has_a_script(name):
    assert find_spec(f"benchmarks.workloads.{WORKLOADS[name].module}")
    for line in lines(name):
        assert line.peer in PACKAGES
        assert find_spec(f"benchmarks.peers.{line.peer}")

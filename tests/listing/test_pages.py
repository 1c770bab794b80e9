"""[O29] The order of lists, and their pages while runs come, end and go on."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepflow import Client, RunSpec
from stepflow.errors import InvalidOption
from tests.listing.walks import all_ids, turned

#: the kinds of lists there are
LISTS = [
    {}, {"runner": "x"}, {"state": "failed"}, {"state": "failed", "runner": "x"},
    {"state": "pending"}, {"tags": {"tenant": "a"}}, {"where": "tag.tenant=a runner=x"},
    {"where": "error~boom"}, {"queue": "default"},
]  # fmt: skip


def specs(size: int) -> list[RunSpec]:
    """Runs of two runners and two tenants."""
    return [
        RunSpec("xy"[n % 2], n, run_id=f"r{n}", tags={"tenant": "aab"[n % 3]}) for n in range(size)
    ]


def test_failures_are_listed_by_when_they_ended_the_last_one_first(client, real):
    client.submit_many(specs(6))
    for run_id in ("r4", "r0", "r2"):
        client.fail(run_id, "boom")
    assert all_ids(client, state="failed") == ["r2", "r0", "r4"]
    assert all_ids(client, state="failed", runner="x") == ["r2", "r0", "r4"]
    assert all_ids(client, state="failed", tags={"tenant": "a"}) == ["r0", "r4"]
    assert all_ids(client) == ["r2", "r0", "r4", "r5", "r3", "r1"]
    assert all_ids(client, runner="y") == ["r5", "r3", "r1"]
    real.flushall()


def test_a_retried_run_stands_where_it_was_submitted_again(client, real):
    client.submit_many(specs(3))
    client.fail("r0", "boom")
    assert all_ids(client) == ["r0", "r2", "r1"]
    client.retry("r0")
    assert all_ids(client) == ["r2", "r1", "r0"]
    assert all_ids(client, tags={"tenant": "a"}) == ["r1", "r0"]
    assert all_ids(client, state="failed") == all_ids(client, state="failed", runner="x") == []
    real.flushall()


@pytest.mark.parametrize("by", LISTS, ids=str)
def test_no_row_comes_twice_and_none_is_missing_while_runs_come_and_end(client, real, by):
    """Those that stood there when the first page was read; a run may end between two pages."""

    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    @given(dice=st.randoms(use_true_random=False), size=st.integers(0, 14))
    def check(dice: random.Random, size: int) -> None:
        real.flushall()
        client.submit_many(specs(size))
        live = [f"r{n}" for n in range(size)]
        for run_id in dice.sample(live, size // 3):
            client.fail(run_id, "boom")
            live.remove(run_id)
        stood = all_ids(client, **by)
        found = turned(client, meanwhile(client, dice, live, by), **by)
        assert len(found) == len(set(found)), found
        assert set(stood) <= set(found), (stood, found)

    check()
    real.flushall()


def meanwhile(
    client: Client, dice: random.Random, live: list[str], by: dict[str, object]
) -> Callable[[], None]:
    """Submit runs and end some, those of a list of live runs not: they are to leave it."""
    new = count(100)

    def happens() -> None:
        for _ in range(dice.randrange(4)):
            if dice.random() < 0.4 or not live:
                n = next(new)
                client.submit("xy"[n % 2], run_id=f"r{n}", tags={"tenant": "aab"[n % 3]})
            elif by.get("state") != "pending":
                client.fail(live.pop(dice.randrange(len(live))), "boom")

    return happens


def test_a_page_without_an_index_looks_at_so_many_runs_and_says_so(client, real, monkeypatch):
    monkeypatch.setattr("stepflow.engine.listing.walk.PAGE", 5)
    monkeypatch.setattr("stepflow.engine.listing.walk.MOST_SCANNED", 10)
    client.submit_many(specs(23))
    for by in ({"where": "error~boom"}, {"state": "running"}, {"headers": {"a": "b"}}):
        page = client.list(**by)
        assert (len(page), page.scanned, page.cursor is None) == (0, 10, False), by
        page = client.list(cursor=client.list(cursor=page.cursor, **by).cursor, **by)
        assert (page.scanned, page.cursor) == (3, None), by
    assert client.list(limit=50).scanned == 23, "an index is walked to its end"
    assert client.list(limit=50, where="older=0s").scanned == 10
    real.flushall()


def test_a_cursor_of_the_version_before_goes_on(client, real):
    client.submit_many(specs(4))
    created = client.status("r2").created_at.timestamp()
    page = client.list(cursor=f"{created:.6f}|r2")
    assert [run.id for run in page] == ["r1", "r0"]
    for wrong in ("what", "1|a|2", "nan|a", "1|a|2|b|3|c"):
        with pytest.raises(InvalidOption):
            client.list(cursor=wrong)
    real.flushall()

"""Many steps in few rows, each of which opens [O23]."""

import pytest

from stepflow.web.pages.timeline.bundles import MOST_ROWS
from stepflow.web.pages.timeline.lay_out import lay_out
from stepflow.web.pages.timeline.model import Shown
from tests.web.pages.timeline.made import T0, failed, of_runner, of_workflow, step


def laid(trace, *opened):
    return lay_out(trace, T0 + 10, Shown(frozenset(opened)))


def many(count, name="fetch {index}", **facts):
    return [
        step(name.format(index=n), n / count, (n + 1) / count, place=f"{n}", **facts)
        for n in range(count)
    ]


def test_few_steps_have_a_row_each():
    rows = laid(of_workflow(*many(MOST_ROWS))).rows
    assert len(rows) == MOST_ROWS
    assert all(row.bundle is None for row in rows)


def test_many_steps_of_few_names_are_bundled_by_name():
    """[O23] With their count, p50, longest and failures."""
    slow = step("parse", 5, 9, failed_attempts=[failed(5, 6, 7)], state="failed", place="slow")
    trace = of_workflow(*many(300, "fetch"), *many(300, "parse"), slow)
    [fetch, parse] = laid(trace).rows
    assert (fetch.name, fetch.bundle.count, fetch.bundle.failures) == ("fetch", 300, 0)
    assert (parse.name, parse.bundle.count, parse.bundle.failures) == ("parse", 301, 1)
    assert parse.bundle.longest_s == pytest.approx(4)
    assert parse.bundle.p50_s == pytest.approx(1 / 300)


def test_many_names_are_bundled_by_what_they_have_in_common():
    trace = of_workflow(*many(300, "fetch {index}"), *many(300, "parse {index}"))
    assert [row.name for row in laid(trace).rows] == ["fetch #", "parse #"]


def test_names_that_are_all_alike_are_bundled_by_their_order():
    rows = laid(of_workflow(*many(1000))).rows
    assert len(rows) == 50
    assert [rows[0].name, rows[-1].name] == ["fetch 0–19", "fetch 980–999"]  # noqa: RUF001


def test_an_opened_bundle_shows_what_is_in_it():
    """[O23] A large one shows bundles again, until there are steps."""
    trace = of_runner(*((number, "continue", 0, 1) for number in range(100_000)))
    first = laid(trace).rows
    assert len(first) == 50
    opened = first[3]
    second = laid(trace, opened.opens).rows
    assert len(second) == 100
    inner = second[4]
    assert (inner.depth, inner.bundle.count) == (1, 40)
    third = laid(trace, opened.opens, inner.opens).rows
    [*_, last] = [row for row in third if row.depth == 2]
    assert last.bundle is None
    assert last.name == "step 6039"


def test_a_step_in_a_bundle_is_open_only_while_the_run_lives():
    waiting = step("fetch", 1, None, state="waiting", kind="signal", place="w")
    for state, is_live in (("waiting", True), ("failed", False)):
        steps = [*many(500, "fetch", kind="signal"), waiting]
        [*_, row] = laid(of_workflow(*steps, state=state)).rows
        assert row.is_live is is_live
        assert any(segment.is_open for segment in row.segments) is is_live

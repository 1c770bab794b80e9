"""What the rows of a timeline say: attempts apart, waiting apart from working [O23]."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.core.outcomes import ErrorInfo
from stepflow.engine.timeline import StepState
from stepflow.web.pages.timeline.children import Children
from stepflow.web.pages.timeline.draw import draw
from stepflow.web.pages.timeline.lay_out import lay_out
from stepflow.web.pages.timeline.model import Shown
from tests.web.pages.timeline.made import T0, at, failed, of_runner, of_workflow, step


def rows(trace, now=10.0, **shown):
    """Give each row's name, and its segments as (look, from, to, is open)."""
    laid = lay_out(trace, T0 + now, Shown(**shown))
    return {row.name: segments(row) for row in laid.rows}


def segments(row):
    return [
        (str(each.look), round(each.start - T0, 3), round(each.end - T0, 3), each.is_open)
        for each in row.segments
    ]


def test_each_attempt_is_a_segment_and_the_waits_between_them_are_others():
    """[O23]"""
    retried = step("charge", 0, 6, failed_attempts=[failed(0, 1, 3), failed(4, 5, 5)])
    trace = of_workflow(replace(retried, took_s=1.0))
    found = rows(trace)["charge"]
    assert found == [
        ("failed", 0, 1, False),
        ("retry", 1, 3, False),
        ("queue", 3, 4, False),
        ("failed", 4, 5, False),
        ("work", 5, 6, False),
    ]


def test_a_sleep_ends_when_it_was_due_and_what_comes_then_is_the_wait_for_a_worker():
    trace = of_workflow(step("sleep", 0, 5, kind="sleep", until=at(4)))
    assert rows(trace)["sleep"] == [("sleep", 0, 4, False), ("queue", 4, 5, False)]


@pytest.mark.parametrize(
    ("kind", "look"), [("signal", "signal"), ("question", "question"), ("child", "child")]
)
def test_what_a_run_waits_for_is_drawn_apart_and_open_while_it_lives(kind, look):
    """[O23]"""
    open_step = step("it", 2, None, state="waiting", kind=kind)
    trace = of_workflow(open_step, state="waiting", attempts=[(0, "park", 0, 2)])
    assert rows(trace, now=30)["it"] == [(look, 2, 30, True)]


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
@given(kinds=st.lists(st.sampled_from(["step", "sleep", "signal", "question", "child", "map"])))
def test_nothing_of_a_run_that_has_ended_is_open(state, kinds):
    """[O23] Whatever the journal leaves open: the bars end with the run."""
    steps = [
        step(f"{kind} {index}", index / 10, None, state="waiting", kind=kind, total=3)
        for index, kind in enumerate(kinds)
    ]
    trace = of_workflow(*steps, state=state)
    laid = lay_out(trace, T0 + 99, Shown())
    for row in (laid.lead, *laid.rows):
        assert not row.is_live
        for segment in row.segments:
            assert not segment.is_open
            assert segment.end <= T0 + 10


def test_a_child_ends_when_it_ended_and_not_when_it_was_asked_for():
    child = step("ship", 1, 9, kind="child", run_id="c")
    trace = of_workflow(child, child_ends={"c": T0 + 3})
    assert rows(trace)["ship"] == [("child", 1, 3, False)]


def test_the_steps_of_an_opened_child_follow_it_in_the_time_of_its_parent():
    """[O23]"""
    parent = of_workflow(step("ship", 1, 9, kind="child", run_id="c"))
    child = of_workflow(step("label", 2, 4))
    child = replace(child, run=replace(child.run, id="c", created_at=at(1), ended_at=at(9)))
    laid = lay_out(parent, T0 + 10, Shown(frozenset({"child:c"})), Children({"c": child}))
    assert [(row.name, row.depth, row.key) for row in laid.rows] == [
        ("ship", 0, "ship"),
        ("label", 1, "c|label"),
    ]
    assert segments(laid.rows[1]) == [("work", 2, 4, False)]


def test_a_step_that_was_remembered_from_before_a_fork_says_so():
    trace = of_workflow(step("draft", -50, -40))
    [row] = lay_out(trace, T0 + 10, Shown()).rows
    assert row.segments == []
    assert "before" in row.note


def test_the_attempts_of_a_runners_step_share_a_row():
    """[O23]"""
    trace = of_runner(
        (0, "continue", 1, 2), (1, "raised", 2, 3, 5), (1, "raised", 6, 7, 8), (1, "succeed", 8, 9)
    )
    found = rows(trace)
    assert found["step 0"] == [("start", 0, 1, False), ("work", 1, 2, False)]
    assert found["step 1"] == [
        ("failed", 2, 3, False),
        ("retry", 3, 5, False),
        ("start", 5, 6, False),
        ("failed", 6, 7, False),
        ("retry", 7, 8, False),
        ("work", 8, 9, False),
    ]


@pytest.mark.parametrize(
    ("state", "look"),
    [("running", "work"), ("pending", "queue"), ("scheduled", "sleep"), ("retrying", "retry")],
)
def test_the_step_that_a_runner_is_at_is_open(state, look):
    present = step("1", None, None, state=state)
    trace = of_runner((0, "continue", 0, 1), present=present, state="running")
    assert rows(trace, now=4)["1"][-1] == (look, 1, 4, True)


def test_marks_say_when_a_signal_came_and_that_a_wait_ended_without_one():
    """[O23]"""
    trace = of_workflow(
        step("paid", 1, 3, kind="signal"),
        step("late", 3, 5, kind="signal", state="timed out"),
    )
    laid = lay_out(trace, T0 + 10, Shown())
    marks = [(mark.kind, mark.at - T0) for row in laid.rows for mark in row.marks]
    assert marks == [("signal", 3), ("timeout", 5)]


def test_errors_are_shown_as_far_as_their_reader_may_see_them():
    trace = of_workflow(step(error=ErrorInfo("KeyError", "secret"), state="failed"))
    hidden = Shown(seen=lambda error: ErrorInfo("hidden", ""))
    [row] = lay_out(trace, T0 + 10, hidden).rows
    assert row.note == "hidden:"
    picture = draw(lay_out(trace, T0 + 10, hidden))
    assert "secret" not in repr(picture)


def test_the_first_look_says_where_the_time_went():
    """[O23] Each moment counts once; working counts before waiting."""
    trace = of_workflow(
        step("work", 1, 4), step("sleep", 2, 8, kind="sleep"), attempts=[(0, "last", 1, 8)]
    )
    shares = {share.what: share.spent_s for share in lay_out(trace, T0 + 10, Shown()).shares}
    assert shares == pytest.approx({"work": 7, "start": 1, "between": 2})
    trace = of_workflow(step("sleep", 2, 8, kind="sleep"), attempts=[(0, "park", 0, 2)])
    shares = {share.what: share.spent_s for share in lay_out(trace, T0 + 10, Shown()).shares}
    assert shares == pytest.approx({"work": 2, "sleep": 6, "between": 2})


@given(
    st.lists(
        st.tuples(st.floats(-5, 20), st.floats(0, 20), st.sampled_from([*StepState])), max_size=12
    ),
    st.sampled_from(["running", "waiting", "succeeded"]),
    st.booleans(),
)
def test_no_bar_leaves_the_picture(given_steps, state, is_true):
    """[O23] Widths are never negative; whatever the records say."""
    steps = [
        step(f"s{index}", start, start + length, state=str(step_state))
        for index, (start, length, step_state) in enumerate(given_steps)
    ]
    picture = draw(lay_out(of_workflow(*steps, state=state), T0 + 12, Shown(is_true=is_true)))
    for drawn in (picture.lead, *picture.rows):
        for bar in drawn.bars:
            assert 0 <= float(bar.left[:-1]) <= 100
            assert 0 < float(bar.width[:-1]) <= 100
        for line in drawn.lines:
            assert float(line.left[:-1]) <= float(line.right[:-1])

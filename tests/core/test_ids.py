"""Names: of runs, of deliveries, of runners and queues."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.core.ids import (
    Delivery,
    check_name,
    check_queue,
    check_run_id,
    hook_member,
    hook_rq_id,
    member_of_rq_id,
    new_run_id,
    run_member,
    split_member,
    step_key,
    worker_of,
)
from stepflow.errors import InvalidName, InvalidRunId

run_ids = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True) | st.sampled_from(
    ["a-1-g2", "x-r5", "-", "1", "a-0", "g1-r1", "run-a-0"]
)
counts = st.integers(0, 10**6)


@given(run_ids, counts, counts, counts)
def test_an_rq_id_is_read_from_the_right_whatever_the_run_is_called(
    run_id, number, generation, handoff
):
    """[C2]"""
    delivery = Delivery(run_id, number, generation, handoff)
    assert Delivery.parse(delivery.rq_id) == delivery
    assert re.fullmatch(r"[A-Za-z0-9_-]+", delivery.rq_id), "what RQ takes"


@given(
    st.lists(
        st.tuples(run_ids, st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_two_deliveries_never_share_an_rq_id(both):
    """[C8] The generation is part of every delivery's id."""
    one, other = (Delivery(*parts) for parts in both)
    assert one.rq_id != other.rq_id
    assert one.name != other.name


def test_names_for_people_and_for_rq():
    assert (Delivery("a-b", 3).name, Delivery("a-b", 3).rq_id) == ("run:a-b:3", "run-a-b-3")
    assert (Delivery("a", 3, 1, 2).name, Delivery("a", 3, 1, 2).rq_id) == (
        "run:a:3:g1:r2",
        "run-a-3-g1-r2",
    )


@pytest.mark.parametrize(
    "rq_id",
    [
        "",
        "run",
        "run-a",
        "run--1",
        "hook-a-0-1-0",
        "theirs",
        "run-a-x",
        "run-a-1-g",
        "xrun-a-1",
        "run-a-1-r2-g1x",
        "run-a-1\n",
    ],
)
def test_what_is_no_delivery_of_ours_is_none(rq_id):
    assert Delivery.parse(rq_id) is None


@given(
    st.floats(0, 2**47 / 1000),
    st.floats(0, 2**47 / 1000),
    st.integers(0, 2**80 - 1),
    st.integers(0, 2**80 - 1),
)
def test_made_up_run_ids_sort_by_time_and_are_valid(one, other, chance, another):
    """[C2]"""
    first, second = sorted((one, other))
    a, b = new_run_id(first, chance), new_run_id(second, another)
    assert check_run_id(a) == a
    assert len(a) == 26
    if int(first * 1000) < int(second * 1000):
        assert a < b


@pytest.mark.parametrize("run_id", ["", "a b", "a:b", "ü", "a\n", "x" * 129, None, 5, b"a"])
def test_what_is_no_run_id_is_refused_with_the_rule(run_id):
    """[C2]"""
    with pytest.raises(InvalidRunId, match="use 1 to 128 letters, digits, '_' or '-'"):
        check_run_id(run_id)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a|b", "a\n", "x" * 201, None])
def test_what_is_no_name_of_a_runner_is_refused(name):
    with pytest.raises(InvalidName):
        check_name("runner", name)


@pytest.mark.parametrize("name", ["a", "_a", "pkg.mod:fn", "a-b", "x" * 200])
def test_names_of_runners_are_free_otherwise(name):
    assert check_name("runner", name) == name


@pytest.mark.parametrize("name", ["", "a.b", "a b", "x" * 65, None, "q.high"])
def test_queues_have_no_dot_for_dots_are_the_priorities(name):
    """[C5]"""
    with pytest.raises(InvalidName):
        check_queue(name)


def test_the_key_of_a_step_is_no_other_steps():
    """[C16] Run ids hold no dot, so three numbers never run into each other."""
    keys = {
        step_key(run_id, generation, number)
        for run_id in ("a", "a-1", "1")
        for generation in (0, 1, 11)
        for number in (0, 1, 11)
    }
    assert len(keys) == 27


@pytest.mark.parametrize(
    ("rq_id", "member"),
    [
        ("run-a-b-3", "run:a-b"),
        ("run-a-3-g1-r2", "run:a"),
        ("hook-h1", "hook:h1"),
        ("hook-h-1-r12", "hook:h-1"),
        ("run-a", ""),
        ("somebody-elses", ""),
    ],
)
def test_an_rq_id_names_its_record(rq_id, member):
    assert member_of_rq_id(rq_id) == member


def test_a_member_name_is_read_back():
    assert split_member(run_member("a-1")) == ("run", "a-1")
    assert split_member(hook_member("h")) == ("hook", "h")
    assert split_member("run:") == split_member("else:a") == split_member("a") == ("", "")
    assert member_of_rq_id(hook_rq_id("h", 3)) == hook_member("h")


def test_a_token_names_its_worker():
    assert worker_of("w1.7.") == "w1"
    assert worker_of("") == ""

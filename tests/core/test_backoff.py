"""Retry policies: what is tried again, after how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.core.backoff import RetryPolicy, crash_wait_s
from stepflow.errors import InvalidOption


def test_the_defaults_are_three_attempts_from_one_second_doubling_up_to_five_minutes():
    """[C20]"""
    policy = RetryPolicy(jitter=False)
    assert policy.max_attempts == 3
    assert [policy.wait_s(failures, 0.0) for failures in (1, 2, 3, 9, 10, 5000)] == [
        1,
        2,
        4,
        256,
        300,
        300,
    ]
    assert RetryPolicy().jitter


@given(
    st.integers(1, 100),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1e6),
    st.floats(1, 100),
    st.floats(0, 1e6),
)
def test_jitter_spreads_over_the_upper_half_of_the_wait(failures, spread, initial, factor, most):
    """[C20]"""
    full = RetryPolicy(initial=initial, factor=factor, max_delay=most, jitter=False).wait_s(
        failures, spread
    )
    wait = RetryPolicy(initial=initial, factor=factor, max_delay=most).wait_s(failures, spread)
    assert 0 <= full <= most
    assert full / 2 <= wait <= full


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"initial": -1}, {"factor": 0.5}, {"max_delay": -1}]
)
def test_a_policy_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InvalidOption, match="max_attempts and factor are at least 1"):
        RetryPolicy(**wrong)


class OddError(OSError):
    pass


@pytest.mark.parametrize("as_names", [False, True])
@pytest.mark.parametrize(
    ("error", "retry_on", "give_up_on", "wanted"),
    [
        (ValueError(), [], [], True),
        (OddError(), [OSError], [], True),
        (ValueError(), [OSError], [], False),
        (OddError(), [OSError], [OddError], False),
        (OSError(), [], [OddError], True),
        (OddError(), [], [OSError], False),
    ],
)
def test_errors_are_chosen_by_class_or_by_name_subclasses_included(
    error, retry_on, give_up_on, wanted, as_names
):
    """[C20]"""
    if as_names:
        retry_on, give_up_on = (
            [f"{kind.__module__}.{kind.__qualname__}" for kind in kinds]
            for kinds in (retry_on, give_up_on)
        )
    assert RetryPolicy(retry_on=retry_on, give_up_on=give_up_on).retries(error) is wanted


def test_a_bare_name_is_enough():
    assert RetryPolicy(retry_on=["OddError"]).retries(OddError())
    assert not RetryPolicy(retry_on=["OddError"]).retries(OSError())


def test_what_a_run_keeps_of_a_policy_is_what_differs_and_reads_back_as_the_same():
    assert RetryPolicy().as_dict() == {}
    policy = RetryPolicy(max_attempts=7, retry_on=[OddError, "X"], jitter=False)
    kept = policy.as_dict()
    assert kept == {"max_attempts": 7, "retry_on": [f"{__name__}.OddError", "X"], "jitter": False}
    assert RetryPolicy(**kept).retries(OddError())


@pytest.mark.parametrize(("spread", "factor"), [(0.0, 0.5), (0.5, 1.0), (0.999, 1.499)])
def test_recoveries_wait_from_the_second_on_up_to_about_five_minutes_and_apart(spread, factor):
    """[C22] Those that were lost with one worker must not take each other along each time."""
    waits = [crash_wait_s(crashes, spread) for crashes in (0, 1, 2, 3, 4, 10, 11, 10_000)]
    assert waits == pytest.approx(
        [min(300, each * factor) for each in (0, 0, 1, 2, 4, 256, 512, 10**6)]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": float("nan")}, {"initial": float("inf")}, {"initial": "1"},
        {"max_delay": float("inf")}, {"max_delay": 1e30}, {"factor": float("nan")},
        {"factor": float("inf")}, {"factor": True}, {"factor": "2"}, {"max_attempts": 2.5},
        {"max_attempts": 2.0}, {"max_attempts": True}, {"max_attempts": float("nan")},
        {"max_attempts": "3"}, {"max_attempts": 10**5000}, {"retry_on": [3]}, {"retry_on": 3},
        {"give_up_on": [int]}, {"give_up_on": [""]}, {"give_up_on": None},
        {"retry_on": [ValueError()]},
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_followed_is_refused_by_name(wrong):
    """[B14]"""
    [name] = wrong
    with pytest.raises(InvalidOption, match=f"^{name} of RetryPolicy"):
        RetryPolicy(**wrong)


def test_one_error_may_be_named_without_a_list():
    """[B14]"""
    assert RetryPolicy(retry_on=ValueError).retries(ValueError())
    assert not RetryPolicy(retry_on="ValueError", give_up_on=UnicodeError).retries(UnicodeError())
    assert RetryPolicy(retry_on=(kind for kind in [OSError])).as_dict() == {
        "retry_on": ["builtins.OSError"]
    }


def test_no_wait_is_none_however_often_it_is_tried():
    """[B14]"""
    assert RetryPolicy(initial=0, jitter=False).wait_s(10**9, 0.0) == 0
    assert RetryPolicy(factor=10, jitter=False).wait_s(10**9, 0.0) == 300

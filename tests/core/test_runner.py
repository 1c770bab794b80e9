"""Step, memo and effects as a unit test of a runner sees them: built by hand, without any Redis."""

from datetime import UTC, datetime, timedelta

import pytest

from stepflow import Continue, Step, StepRunner, Succeed
from stepflow.core.outcomes import Cancel, ErrorInfo, Fail, readable, seconds, unix_time
from stepflow.core.runner import DELETED
from stepflow.errors import InvalidOption


def test_a_step_built_by_hand_is_enough_to_test_a_runner():
    step = Step("a", 3, {"n": 1})
    assert (step.run_id, step.number, step.payload, step.headers, step.attempt, step.deadline) == (
        "a",
        3,
        {"n": 1},
        {},
        1,
        None,
    )
    assert step.memo.get("k", "none") == "none"
    step.memo.put("k", 1)
    assert step.memo.get("k") == 1
    step.extend(timedelta(seconds=5))
    assert not step.cancel.is_set
    assert repr(step) == "Step('a', 3, attempt=1)"


def test_a_runner_in_class_form_must_have_its_step():
    class Nothing(StepRunner):
        pass

    with pytest.raises(TypeError):
        Nothing()


def test_the_key_differs_by_run_generation_and_number():
    """[C16]"""
    assert (
        len(
            {
                Step("a", 1, None).key,
                Step("a", 2, None).key,
                Step("b", 1, None).key,
                Step("a", 1, None, generation=1).key,
            }
        )
        == 4
    )
    assert Step("a", 1, None, attempt=2).key == Step("a", 1, None, attempt=1).key


@pytest.mark.parametrize("put_first", [True, False])
def test_put_and_delete_of_one_key_exclude_each_other(put_first):
    """[C17]"""
    effects = Step("a", 0, None).effects
    one, other = (lambda: effects.put("k", 1)), (lambda: effects.delete("k"))
    first, second = (one, other) if put_first else (other, one)
    first()
    with pytest.raises(InvalidOption, match="both put and delete key 'k'"):
        second()


def test_the_last_put_of_a_key_counts():
    """[C17]"""
    effects = Step("a", 0, None).effects
    effects.put("k", 1)
    effects.put("k", 2)
    effects.delete("gone")
    effects.delete("gone")
    assert effects.writes == {"k": 2, "gone": DELETED}


def test_continue_takes_delay_or_at():
    """[C19]"""
    with pytest.raises(InvalidOption, match="delay or at, not both"):
        Continue(delay=1, at=2)


@pytest.mark.parametrize(
    "delay", [float("inf"), float("-inf"), float("nan"), 1e11, "5", [], None.__class__]
)
def test_a_delay_must_be_seconds_that_end(delay):
    with pytest.raises(InvalidOption):
        Continue(delay=delay)


@pytest.mark.parametrize("at", [datetime(2030, 1, 1), float("inf"), float("nan"), "2030-01-01"])
def test_a_time_must_be_one_that_everybody_reads_alike(at):
    with pytest.raises(InvalidOption):
        Continue(at=at)


def test_durations_and_times_as_users_write_them():
    assert (seconds(5), seconds(0.5), seconds(timedelta(minutes=1))) == (5, 0.5, 60)
    assert unix_time(datetime(1970, 1, 1, 0, 1, tzinfo=UTC)) == unix_time(60) == 60


def test_outcomes_are_values():
    assert Succeed(1) == Succeed(1)
    assert Continue(1) != Continue(2)
    assert (Fail(5).reason, Cancel(None).reason) == ("5", "None")


def test_an_int_of_too_many_digits_is_named_by_its_size():
    """[B17]"""
    assert Fail(10**5000).reason == "<int of 16,610 bits>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", "a"),
        (5, "5"),
        ("\ud800x", "\\ud800x"),
        ("x" * 20_000, "x" * 9_992 + " … (cut)"),
        ("x" * 10_000, "x" * 10_000),
    ],
)
def test_any_text_of_user_code_can_be_stored_and_shown(text, shown):
    assert readable(text) == shown
    ErrorInfo("E", readable(text)).message.encode()

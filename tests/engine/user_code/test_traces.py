"""Errors show the user's own traceback first [U10]."""

import logging

import pytest

from stepflow import Continue, PermanentError, RetryPolicy, RunFailed, StepFailed, Succeed
from stepflow.core.ids import check_name
from stepflow.core.outcomes import ErrorInfo
from stepflow.engine.user_code.calls import error_info
from stepflow.engine.user_code.traces import LONGEST, folded
from stepflow.store.values.codec import pack
from tests.support import until

QUICK = RetryPolicy(max_attempts=2, initial=0.01)


def charge(amount):
    return lookup(amount)


def lookup(amount):
    return {}[amount]


def lines(caplog, *words):
    return [
        record.getMessage()
        for record in caplog.records
        if all(word in record.getMessage() for word in words)
    ]


async def test_a_step_that_fails_is_logged_by_type_and_message_and_at_last_with_its_traceback(
    app, aclient, working, caplog
):
    """[U10] The library's frames are folded, in the log and in what is stored."""

    @app.workflow("order", retry=QUICK)
    async def order(ctx):
        await ctx.step(charge, 7)

    async with working(app):
        run = await aclient.submit("order")
        await aclient.wait(run.id, 60)
    (first,) = lines(caplog, "step 'charge' attempt 1 of 2 failed: KeyError: 7; next in ")
    assert f"run={run.id} " in first
    (last,) = lines(caplog, "step 'charge' failed for good, attempt 2 of 2: KeyError: 7\nTraceback")
    assert "in charge\n    return lookup(amount)" in last
    assert "calls.py" not in last
    assert " of stepflow\n" in last
    (ended,) = lines(caplog, "failed for good: StepFailed")
    assert "Traceback" not in ended, "the traceback is in the log already"
    error = (await aclient.steps(run.id)).steps[-1].error
    assert [(frame.function, frame.code) for frame in error.frames] == [
        ("charge", "return lookup(amount)"),
        ("lookup", "return {}[amount]"),
    ]


async def test_a_runner_that_fails_is_logged_in_the_same_way(app, aclient, working, caplog):
    """[U10] So is what a client raises for it: with the worker's traceback as a note."""

    @app.runner("chain", retry=QUICK)
    async def chain(step):
        if step.number == 0:
            return Continue(7)
        return charge(step.payload)

    async with working(app):
        run = await aclient.submit("chain")
        with pytest.raises(RunFailed) as failed:
            await run.result(60)
    assert lines(caplog, f"run={run.id} step=1 attempt 1 of 2 failed: KeyError: 7; next in ")
    (last,) = lines(caplog, f"run={run.id} step=1 failed for good: KeyError: 7\nTraceback")
    assert "in lookup" in last
    assert "in lookup" in failed.value.__notes__[0]


async def test_step_failed_has_the_original_as_its_cause_and_its_text_on_replay(
    app, aclient, working
):
    """[U10] Its own fields are the same both times."""
    seen = []

    @app.workflow("order", retry=RetryPolicy(max_attempts=1))
    async def order(ctx):
        try:
            await ctx.step(charge, 7)
        except StepFailed as error:
            seen.append((error.error_type, error.__cause__, getattr(error, "__notes__", [])))
        await ctx.sleep(0.05)

    async with working(app):
        run = await aclient.submit("order")
        await aclient.wait(run.id, 60)
    (live, cause, no_notes), (replayed, no_cause, notes) = seen
    assert live == replayed == "KeyError"
    assert isinstance(cause, KeyError)
    assert (no_cause, no_notes) == (None, [])
    assert "in lookup" in notes[0]


async def test_an_uncaught_failure_stores_what_led_to_it(app, aclient, working):
    """[U10]"""

    @app.workflow("order", retry=RetryPolicy(max_attempts=1))
    async def order(ctx):
        await ctx.step(charge, 7)

    async with working(app):
        run = await aclient.submit("order")
        status = await aclient.wait(run.id, 60)
    trace = status.error.traceback
    assert trace.index("in lookup") < trace.index("direct cause") < trace.index("in order")


def raised_by(function, *args):
    try:
        function(*args)
    except Exception as error:  # noqa: BLE001
        return error


def both():
    try:
        charge(1)
    except KeyError:
        raise ExceptionGroup("two", [raised_by(pack, object()), ValueError("x")]) from None


def test_frames_of_stepflow_are_folded_in_a_chain_and_in_a_group_unless_there_are_no_others():
    """[U10]"""
    text = folded(raised_by(both))
    assert "in both" in text
    assert "of stepflow" in text
    assert "codec.py" not in text
    alone = raised_by(check_name, "runner", "!")
    alone.__traceback__ = alone.__traceback__.tb_next
    assert "ids.py" in folded(alone)
    assert "of stepflow" not in folded(alone)


def deep(n):
    # two names in turn: Python itself folds what repeats
    return deeper(n - 1) if n else charge(1)


def deeper(n):
    return deep(n - 1) if n else charge(1)


def test_of_a_long_traceback_the_end_is_kept():
    """[U10] It is bounded, and begins with a whole line."""
    info = error_info(raised_by(deep, 60))
    assert len(info.traceback) <= LONGEST
    assert info.traceback.startswith("  … (cut)\n  ")
    assert info.traceback.endswith("KeyError: 1\n")
    assert info.frames[-1].function == "lookup"


@pytest.mark.parametrize(
    ("info", "summary"),
    [
        (ErrorInfo("E", "a\n  b"), "E: a b"),
        (ErrorInfo("E", ""), "E"),
        (ErrorInfo("E", "x" * 1000), f"E: {'x' * 299}…"),
        (ErrorInfo("E", "a\x1b[2Jb\0\x9b\u202ec\u00e9"), r"E: a\x1b[2Jb\x00\x9b\u202ecé"),
    ],
)
def test_an_error_in_one_line(info, summary):
    """[U10]"""
    assert info.summary == summary


async def test_a_permanent_error_is_logged_with_its_traceback_at_once(
    app, aclient, working, caplog
):
    """[U10]"""
    caplog.set_level(logging.WARNING)

    def refuse():
        raise PermanentError("never")

    @app.workflow("order", retry=QUICK)
    async def order(ctx):
        await ctx.step(refuse)

    async with working(app):
        run = await aclient.submit("order")
        await aclient.wait(run.id, 60)
    assert lines(caplog, "step 'refuse' failed for good, attempt 1 of 2: PermanentError: never\n")


async def test_a_hook_that_is_given_up_is_logged_with_its_traceback(app, aclient, working, caplog):
    """[U10]"""

    @app.runner("chain")
    async def chain(step):
        return Succeed(None)

    @app.on_terminal
    def told(outcome):
        charge(7)

    async with working(app, next_wait=lambda *_: None):
        await (await aclient.submit("chain")).wait(60)
        (last,) = await until(
            lambda: lines(caplog, "is dead after 1 tries: KeyError: 7\nTraceback")
        )
    assert "in lookup" in last
    assert "notify.py" not in last

"""Lines that say which run, step and attempt they are of [U11]."""

import logging
from contextvars import copy_context

import pytest

from stepflow import Context, Continue, RetryPolicy, Step, StepFilter, Stepflow, Succeed, log
from stepflow.core.run import Run
from stepflow.kits.flow.replay.suspend import was_here
from stepflow.logs import StepFacts, enter, facts
from stepflow.testing import Harness

QUICK = RetryPolicy(max_attempts=3, initial=0.01)


@pytest.fixture
def plain_app():
    return Stepflow()


@pytest.fixture
def said(caplog):
    """What was said by user code, as (text, extras)."""
    caplog.set_level(logging.INFO, "stepflow.log")

    def said():
        found = []
        for record in caplog.records:
            if record.name == "stepflow.log":
                extra = [getattr(record, name, None) for name in ("run", "runner", "step")]
                found.append((record.getMessage(), *extra, getattr(record, "attempt", None)))
        return found

    return said


async def test_a_workflows_line_is_logged_once_however_often_it_is_replayed(plain_app, said):
    """[U11] Before a sleep, before a signal without a time limit, and in a new history."""

    @plain_app.workflow("talks")
    async def talks(ctx: Context, n: int) -> int:
        ctx.log.info("begins %s", n)
        await ctx.wait_for_signal("first")
        ctx.log.info("got the first, 100%")
        await ctx.step(len, "abc")
        ctx.log.info("sleeps")
        await ctx.sleep(60)
        ctx.log.info("waits")
        await ctx.wait_for_signal("go")
        if n:
            return await ctx.continue_as_new(n - 1)
        ctx.log.info("ends")
        return n

    async with Harness(plain_app) as h:
        run = await h.submit("talks", 1, run_id="r1")
        for _ in range(2):
            await h.signal(run, "other")
            await h.signal(run, "first")
            await h.advance(61)
            await h.signal(run, "other")
            await h.signal(run, "go")
        assert await h.result(run) == 0
        before = said()
        await h.replay(await h.history(run))
    assert said() == before
    once = ["got the first, 100%", "sleeps", "waits"]
    lines = ["begins 1", *once, "begins 0", *once, "ends"]
    assert [text for text, *_ in before] == [f"run=r1 {line}" for line in lines]
    assert {tuple(extra) for _, *extra in before} == {("r1", "talks", None, None)}


async def test_a_plain_workflow_has_the_same_log(plain_app, said):
    """[U11]"""

    @plain_app.workflow("plain")
    def plain(ctx):
        ctx.log.info("begins")
        ctx.wait_for_signal("go")

    async with Harness(plain_app) as h:
        run = await h.submit("plain", run_id="r1")
        await h.signal(run, "go")
    assert [text for text, *_ in said()] == ["run=r1 begins"]


async def test_the_log_of_a_step_knows_its_name_and_attempt_in_threads_too(
    app, aclient, working, said
):
    """[U11] Side by side, too: each call has its own."""

    def in_thread():
        log.info("in a thread")
        if facts()["attempt"] < 2:
            raise ValueError("again")

    async def on_loop():
        log.info("on the loop")

    @app.workflow("flow", retry=QUICK)
    async def flow(ctx):
        first, second = ctx.step(in_thread), ctx.step("other", on_loop, compensate=undo)
        await first
        await second
        raise ValueError("undo")

    def undo(value):
        log.info("undoes")

    async with working(app):
        await (await aclient.submit("flow", run_id="r1")).wait(60)
    assert sorted(said()) == [
        ("run=r1 step='in_thread' attempt=1 in a thread", "r1", "flow", "in_thread", 1),
        ("run=r1 step='in_thread' attempt=2 in a thread", "r1", "flow", "in_thread", 2),
        ("run=r1 step='other' attempt=1 on the loop", "r1", "flow", "other", 1),
        ("run=r1 step='undo other' attempt=1 undoes", "r1", "flow", "undo other", 1),
    ]


async def test_a_runner_has_step_log_and_hooks_know_their_run(app, aclient, working, said):
    """[U11]"""

    @app.runner("chain")
    async def chain(step):
        step.log.info("at %s", step.payload)
        log.info("here")
        return Continue(step.payload - 1) if step.payload else Succeed(None)

    @app.on_terminal
    def note(outcome):
        log.info("told")

    async with working(app):
        await (await aclient.submit("chain", 1, run_id="r1")).wait(60)
    lines = said()
    assert lines[:4] == [
        ("run=r1 step=0 attempt=1 at 1", "r1", "chain", 0, 1),
        ("run=r1 step=0 attempt=1 here", "r1", "chain", 0, 1),
        ("run=r1 step=1 attempt=1 at 0", "r1", "chain", 1, 1),
        ("run=r1 step=1 attempt=1 here", "r1", "chain", 1, 1),
    ]
    assert lines[4:] == [("run=r1 told", "r1", "chain", None, None)]


def test_a_line_says_where_the_caller_stands_and_may_have_attributes_of_its_own(caplog):
    """[U11] A name with a percent sign is no directive."""
    caplog.set_level(logging.INFO)

    def step():
        enter(StepFacts("r1", "w", "50%s", 2))
        log.warning("of %s", "two", extra={"step": "mine", "more": 1})
        log.info("no 100%d arguments")
        Step("r2", 3, None).log.info("by hand")

    copy_context().run(step)
    log.info("outside")
    first, second, third, last = caplog.records
    assert first.getMessage() == "run=r1 step='50%s' attempt=2 of two"
    assert (first.step, first.more, first.funcName) == (
        "mine", 1, "step"
    )  # fmt: skip
    assert second.getMessage() == "run=r1 step='50%s' attempt=2 no 100%d arguments"
    assert third.getMessage() == "run=r2 step=3 attempt=1 by hand"
    assert last.getMessage() == "outside"


def test_the_filter_gives_every_record_the_step_it_is_of():
    """[U11] Also those of other libraries; they are None outside of a step."""
    record = logging.LogRecord("other", logging.INFO, "", 1, "x", (), None)

    def step():
        enter(StepFacts("r1", "w", 3, 2))
        return StepFilter().filter(record)

    assert copy_context().run(step)
    assert (record.run, record.runner, record.step, record.attempt) == ("r1", "w", 3, 2)
    outside = logging.LogRecord("other", logging.INFO, "", 1, "x", (), None)
    StepFilter().filter(outside)
    assert (outside.run, outside.step) == (None, None)


@pytest.mark.parametrize(
    ("run", "began_with", "repeats"),
    [
        (Run("r", "w"), 0, False),  # its first activation
        (Run("r", "w", crashes=1), 0, False),  # a worker was lost
        (Run("r", "w", step=3), 0, True),  # parked before
        (Run("r", "w", handoff=1), 0, True),  # yielded before
        (Run("r", "w", step=3, failures=1), 0, False),  # raised before
        (Run("r", "w", step=3), 3, False),  # a new history
        (Run("r", "w", step=4), 3, True),  # which parked at once
    ],
)
def test_code_past_the_end_of_the_journal_is_new_unless_an_activation_parked_there(
    run, began_with, repeats
):
    """[U11]"""
    assert was_here(run, began_with) is repeats

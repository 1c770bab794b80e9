"""What happens when a runner raises, takes too long, or returns what it must not."""

import asyncio
import threading

import pytest

from stepflow import Continue, Fail, PermanentError, RetryPolicy, RunFailed, Succeed, TransientError
from stepflow.settings import LimitSettings, Settings, WorkerSettings
from tests.support import until

QUICK = RetryPolicy(max_attempts=3, initial=0.001, jitter=False)


async def test_an_error_is_retried_until_it_works_and_the_step_counts_its_attempts(
    app, aclient, working
):
    """
    [C20] Any exception means another attempt, by the policy; the count is kept in Redis. [C11]
    """
    attempts = []

    @app.runner("flaky", retry=QUICK)
    async def flaky(step):
        attempts.append(step.attempt)
        if step.attempt < 3:
            raise ValueError("not yet")
        return Succeed("at last")

    async with working(app):
        assert await (await aclient.submit("flaky")).result(60) == "at last"
    assert attempts == [1, 2, 3]


async def test_a_plain_function_is_retried_like_an_async_one(app, aclient, working):
    """[C20]"""
    attempts = []

    @app.runner("flaky", retry=QUICK)
    def flaky(step):
        attempts.append(step.attempt)
        if step.attempt < 2:
            raise OSError("not yet")
        return Succeed(threading.current_thread() is threading.main_thread())

    async with working(app):
        assert await (await aclient.submit("flaky")).result(60) is False
    assert attempts == [1, 2]


async def test_when_attempts_are_used_up_the_run_fails_with_the_last_error(app, aclient, working):
    """[C20] Exhausted: failed, with the last error's type, message and traceback tail."""

    @app.runner("broken", retry=QUICK)
    async def broken(step):
        raise KeyError(f"attempt {step.attempt}")

    async with working(app):
        run = await aclient.submit("broken", run_id="b1")
        with pytest.raises(RunFailed, match=r"run 'b1' failed \(KeyError\): 'attempt 3'"):
            await run.result(60)
    status = await run.status()
    assert (status.state, status.attempt, status.error.type) == ("failed", 3, "KeyError")
    assert "in broken" in status.error.traceback


async def test_three_attempts_are_the_default(app, aclient, working):
    """[C20]"""
    attempts = []

    @app.runner("broken", retry=RetryPolicy(initial=0.001))
    async def broken(step):
        attempts.append(step.attempt)
        raise RuntimeError

    async with working(app):
        await (await aclient.submit("broken")).wait(60)
    assert attempts == [1, 2, 3]


async def test_the_policy_of_the_submit_beats_that_of_the_runner(app, aclient, working):
    """[C5] The retry policy is fixed at submit."""
    attempts = []

    @app.runner("broken", retry=RetryPolicy(max_attempts=5, initial=0.001))
    async def broken(step):
        attempts.append(step.attempt)
        raise RuntimeError

    async with working(app):
        await (await aclient.submit("broken", retry=RetryPolicy(max_attempts=1))).wait(60)
    assert attempts == [1]


@pytest.mark.parametrize(
    ("error", "wait_s"),
    [
        (RuntimeError(), 100.0),
        (TransientError("busy", retry_after=500), 500.0),
        (TransientError(retry_after=5), 100.0),
    ],
)
async def test_the_wait_is_a_due_time_in_redis_by_the_policy_or_by_the_error_if_that_is_longer(
    app, aclient, working, error, wait_s
):
    """[C20] Exponential backoff, and TransientError(retry_after=...)."""

    @app.runner("busy", retry=RetryPolicy(initial=100, jitter=False))
    async def busy(step):
        raise error

    async with working(app):
        run = await aclient.submit("busy")
        status = await until(lambda: _in_state(run, "scheduled"))
    assert status.attempt == 2
    assert (status.due_at - status.updated_at).total_seconds() == pytest.approx(wait_s, abs=0.01)


async def _in_state(run, state):
    status = await run.status()
    return status if status.state == state else None


async def test_a_permanent_error_ends_the_run_at_once(app, aclient, working):
    """[C20]"""

    @app.runner("wrong", retry=QUICK)
    async def wrong(step):
        raise PermanentError("no such account")

    async with working(app):
        status = await (await aclient.submit("wrong")).wait(60)
    assert (status.state, status.attempt) == ("failed", 1)
    assert (status.error.type, status.error.message) == ("PermanentError", "no such account")


async def test_retry_on_and_give_up_on_choose_what_is_tried_again(app, aclient, working):
    """[C20]"""

    @app.runner(
        "choosy",
        retry=RetryPolicy(
            max_attempts=2, initial=0.001, retry_on=[OSError], give_up_on=["FileNotFoundError"]
        ),
    )
    async def choosy(step):
        raise {"os": PermissionError, "value": ValueError, "file": FileNotFoundError}[step.payload]

    async with working(app):
        ends = {
            kind: await (await aclient.submit("choosy", kind)).wait(60)
            for kind in ("os", "value", "file")
        }
    assert {kind: end.attempt for kind, end in ends.items()} == {"os": 2, "value": 1, "file": 1}


async def test_fail_is_a_verdict_and_is_not_retried(app, aclient, working):
    """[C19]"""
    attempts = []

    @app.runner("judge", retry=QUICK)
    async def judge(step):
        attempts.append(step.attempt)
        return Fail("out of stock")

    async with working(app):
        run = await aclient.submit("judge", run_id="j")
        with pytest.raises(RunFailed, match="out of stock"):
            await run.result(60)
    assert attempts == [1]


async def test_an_error_in_a_later_step_is_retried_there_and_the_count_starts_anew_with_each_step(
    app, aclient, working
):
    """[C11] attempt counts within the step; [C12] steps number without a gap."""
    seen = []

    @app.runner("chain", retry=QUICK)
    async def chain(step):
        seen.append((step.number, step.attempt))
        if step.attempt < 2:
            raise RuntimeError
        return Continue() if step.number < 2 else Succeed()

    async with working(app):
        await (await aclient.submit("chain")).result(60)
    assert seen == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]


@pytest.mark.parametrize(
    "value", [None, 5, {"done": True}, Succeed], ids=["None", "int", "dict", "class"]
)
async def test_what_is_not_an_outcome_fails_the_run_in_words_that_say_what_is_allowed(
    app, aclient, working, value
):
    """[C24]"""

    @app.runner("odd", retry=QUICK)
    async def odd(step):
        return value

    async with working(app):
        status = await (await aclient.submit("odd")).wait(60)
    assert (status.state, status.attempt, status.error.type) == ("failed", 1, "NotAnOutcome")
    assert f"returned {type(value).__name__}" in status.error.message
    assert "Continue, Succeed, Fail, Cancel" in status.error.message


@pytest.mark.parametrize("outcome", [Continue, Succeed])
async def test_a_payload_or_result_over_the_limit_fails_the_step_for_good_with_size_and_limit(
    url, aclient, working, outcome
):
    """[C7]"""
    from stepflow import Stepflow

    app = Stepflow(url, settings=Settings(limits=LimitSettings(payload_bytes=1000)))

    @app.runner("big", retry=QUICK)
    async def big(step):
        return outcome("x" * 2000)

    async with working(app):
        status = await (await aclient.submit("big")).wait(60)
    assert (status.state, status.attempt, status.error.type) == ("failed", 1, "PayloadTooLarge")
    assert "2,003 bytes packed, over the limit of 1,000" in status.error.message


async def test_an_effect_over_the_limit_fails_the_step_for_good(url, aclient, working):
    """[C7] Was: the worker went round in the commit for ever and held up its loop."""
    from stepflow import Stepflow

    app = Stepflow(url, settings=Settings(limits=LimitSettings(payload_bytes=1000)))

    @app.runner("big", retry=QUICK)
    async def big(step):
        step.effects.put("k", "x" * 2000)
        return Succeed()

    async with working(app):
        status = await (await aclient.submit("big")).wait(60)
    assert (status.state, status.error.type) == ("failed", "PayloadTooLarge")


@pytest.mark.parametrize("outcome", [Continue, Succeed])
async def test_a_value_that_cannot_be_stored_fails_the_step_for_good_naming_its_place(
    app, aclient, working, outcome
):
    """[C6]"""

    @app.runner("odd", retry=QUICK)
    async def odd(step):
        return outcome({"items": [1, object()]})

    async with working(app):
        status = await (await aclient.submit("odd")).wait(60)
    assert (status.state, status.attempt, status.error.type) == ("failed", 1, "UnsupportedValue")
    assert "items" in status.error.message


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "é"])
async def test_any_text_can_be_an_error_or_a_reason(app, aclient, working, text):
    """[C20] A message that is no valid Unicode must not keep the run from ending."""

    @app.runner("odd", retry=RetryPolicy(max_attempts=1))
    async def odd(step):
        if step.payload == "raise":
            raise ValueError(text)
        return Fail(text)

    async with working(app):
        for how in ("raise", "fail"):
            status = await (await aclient.submit("odd", how)).wait(60)
            assert (status.state, status.crashes) == ("failed", 0)
            assert status.error.type in ("ValueError", "Fail")


async def test_an_error_that_cannot_say_what_it_is_still_ends_the_attempt(app, aclient, working):
    """[C20]"""

    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError("mute")

    @app.runner("odd", retry=RetryPolicy(max_attempts=1))
    async def odd(step):
        raise MuteError

    async with working(app):
        status = await (await aclient.submit("odd")).wait(60)
    assert (status.state, status.error.type) == ("failed", "MuteError")


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_step_that_calls_exit_fails_and_its_worker_lives(app, aclient, working, is_async):
    """[C20]"""

    async def leave_async(step):
        raise SystemExit(3)

    def leave(step):
        raise SystemExit(3)

    app.register("exits", leave_async if is_async else leave, retry=RetryPolicy(max_attempts=1))

    @app.runner("fine")
    async def fine(step):
        return Succeed("alive")

    async with working(app):
        status = await (await aclient.submit("exits")).wait(60)
        assert (status.state, status.error.type) == ("failed", "SystemExit")
        assert await (await aclient.submit("fine")).result(60) == "alive"


async def test_a_cancelled_error_of_the_runners_own_making_is_an_error_like_any_other(
    app, aclient, working
):
    """
    [C20] A runner that waits for a task which somebody cancelled must not look like a lost worker.
    """

    @app.runner("waits", retry=RetryPolicy(max_attempts=1))
    async def waits(step):
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    async with working(app):
        status = await (await aclient.submit("waits")).wait(60)
    assert (status.state, status.crashes, status.error.type) == ("failed", 0, "CancelledError")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Continue(delay="soon"),
        lambda: Continue(delay=float("inf")),
        lambda: Continue(delay=float("nan")),
        lambda: Continue(at=__import__("datetime").datetime(2030, 1, 1)),
        lambda: Continue(at=float("inf")),
    ],
    ids=["text", "inf", "nan", "naive", "inf at"],
)
async def test_a_delay_that_is_none_fails_the_run_instead_of_losing_it(app, aclient, working, make):
    """[C19] Was: the worker gave the step up each time, until it had crashed too often."""

    @app.runner("odd", retry=RetryPolicy(max_attempts=1))
    async def odd(step):
        return make()

    async with working(app):
        status = await (await aclient.submit("odd")).wait(60)
    assert (status.state, status.crashes) == ("failed", 0)


async def test_an_async_step_past_its_timeout_is_cancelled_and_retried(app, aclient, working):
    """[C23] step_timeout cancels an async step and counts as transient."""
    ended = []

    @app.runner("slow", retry=QUICK, step_timeout=0.05)
    async def slow(step):
        if step.attempt == 1:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(step.attempt)
        return Succeed(step.attempt)

    async with working(app):
        assert await (await aclient.submit("slow")).result(60) == 2
    assert ended == [1]


async def test_timeouts_use_up_the_attempts_and_the_error_says_so(app, aclient, working):
    """[C23]"""

    @app.runner("slow", retry=RetryPolicy(max_attempts=2, initial=0.001), step_timeout=0.02)
    async def slow(step):
        await asyncio.Event().wait()

    async with working(app):
        status = await (await aclient.submit("slow")).wait(60)
    assert (status.state, status.attempt, status.error.type) == ("failed", 2, "StepTimeout")
    assert "longer than its timeout of 0.02 s" in status.error.message


async def test_a_plain_function_past_its_timeout_keeps_its_slot_and_its_result_is_ignored(
    app, aclient, working
):
    """[C23]"""
    release, stuck = threading.Event(), threading.Event()

    @app.runner("slow", retry=QUICK, step_timeout=0.05)
    def slow(step):
        if step.attempt == 1:
            stuck.set()
            release.wait(60)
            return Succeed("too late")
        return Succeed("in time")

    async with working(app, concurrency=3) as worker:
        assert await (await aclient.submit("slow")).result(60) == "in time"
        assert stuck.is_set()
        await until(lambda: worker.worker_state.slots.used == 1)
        assert worker.worker_state.stray_threads == 1
        release.set()
        await until(lambda: worker.worker_state.slots.used == 0)
        assert worker.worker_state.stray_threads == 0


async def test_a_function_left_behind_writes_no_memo(app, aclient, working):
    """[C15] A memo is written under the claim: not by a thread that was given up."""
    release, refused = threading.Event(), []

    @app.runner("slow", retry=QUICK, step_timeout=0.05)
    def slow(step):
        if step.attempt > 1:
            return Succeed(step.memo.get("k"))
        release.wait(60)
        try:
            step.memo.put("k", "late")
        except BaseException as error:
            refused.append(type(error).__name__)
            raise

    async with working(app, concurrency=2) as worker:
        assert await (await aclient.submit("slow")).result(60) is None
        release.set()
        await until(lambda: worker.worker_state.stray_threads == 0)
    assert refused == ["ClaimLost"]


async def test_a_worker_whose_slots_are_all_stuck_stops_claiming_and_leaves(app, aclient, working):
    """[C23]"""
    release = threading.Event()

    @app.runner("stuck", retry=QUICK, step_timeout=0.05)
    def stuck(step):
        release.wait(60)
        return Succeed()

    async with working(app, concurrency=1) as worker:
        run = await aclient.submit("stuck")
        await until(lambda: worker.is_stuck)
    release.set()
    assert (await run.status()).state in ("scheduled", "pending")


async def test_a_blocked_loop_loses_its_step_after_timeout_and_grace_and_its_late_commit_is_refused(
    url, real, keys, link_to_real, aclient, working, caplog
):
    """
    [C23] No claim is renewed past its step timeout plus grace, blocked loop or not; the stack is
    logged once. [C13]
    """
    from stepflow import Stepflow
    from stepflow.engine.env import Env
    from stepflow.store.connection.sync import carry_out
    from stepflow.worker.recover import recover_lapsed
    from tests.support import until_blocking

    limits = WorkerSettings(lease_s=1.5, stop_grace_s=0.1)
    app = Stepflow(url, settings=Settings(worker=limits))
    attempts = []

    @app.runner("blocks", retry=QUICK, step_timeout=0.1)
    async def blocks(step):
        attempts.append((step.attempt, step.number))
        if len(attempts) > 1:
            return Succeed("the second")
        env = Env(keys, app.settings)
        until_blocking(lambda: carry_out(link_to_real, recover_lapsed(f"run:{step.run_id}", env)))
        until_blocking(lambda: "is past its limit" in caplog.text)
        return Succeed("the first, late")

    async with working(app):
        run = await aclient.submit("blocks")
        assert await run.result(60) == "the second"
    assert (await run.status()).crashes == 1
    # of each line the first: the stack below it may show this function
    said = [record.getMessage().splitlines()[0] for record in caplog.records]
    assert len([line for line in said if "is past its limit" in line]) == 1
    assert "until_blocking" in caplog.text
    assert "not committed" in caplog.text or "late commit refused" in caplog.text

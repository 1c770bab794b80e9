"""What a runner sees and may do: its Step, memo, effects, extend, the steps of one run in order."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from stepflow import Cancel, Continue, Fail, PermanentError, RetryPolicy, Step, StepRunner, Succeed
from stepflow.store.claims import claim_steps, sources_of
from tests.support import until

QUICK = RetryPolicy(max_attempts=3, initial=0.001, jitter=False)
KINDS = pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])


def register(app, name, is_async, plain, asynchronous, **options):
    app.register(name, asynchronous if is_async else plain, **options)


@KINDS
async def test_a_runner_sees_its_run_number_payload_headers_attempt_and_deadline(
    app, aclient, working, is_async
):
    """[C11]"""
    seen = []

    def look(step):
        seen.append(step)
        return Continue("next") if step.number == 0 else Succeed()

    async def look_async(step):
        return look(step)

    register(app, "look", is_async, look, look_async)
    async with working(app):
        run = await aclient.submit(
            "look", {"a": 1}, run_id="r1", headers={"tenant": "t1"}, timeout=3600
        )
        status = await run.wait(60)
    first, second = seen
    assert (first.run_id, first.number, first.payload, first.headers, first.attempt) == (
        "r1",
        0,
        {"a": 1},
        {"tenant": "t1"},
        1,
    )
    assert (second.number, second.payload, second.headers) == (1, "next", {"tenant": "t1"})
    assert (
        first.deadline
        == second.deadline
        == status.deadline_at
        == status.created_at + timedelta(hours=1)
    )
    assert not first.cancel.is_set


async def test_a_run_without_a_timeout_has_no_deadline(app, aclient, working):
    """[C11]"""

    @app.runner("look")
    async def look(step):
        return Succeed(step.deadline)

    async with working(app):
        assert await (await aclient.submit("look")).result(60) is None


async def test_the_class_form_is_one_object_that_runs_every_step(app, aclient, working):
    class Etl(StepRunner):
        def __init__(self):
            self.calls = 0

        async def run_step(self, step: Step):
            self.calls += 1
            return Succeed(self.calls) if step.number == 2 else Continue()

    app.register("etl", Etl())
    async with working(app):
        assert await (await aclient.submit("etl")).result(60) == 3


async def test_steps_of_a_run_come_one_at_a_time_and_without_a_gap_while_runs_interleave(
    app, aclient, working
):
    """[C12]"""
    busy, seen, overlaps = set(), {}, []

    @app.runner("chain")
    async def chain(step):
        overlaps.append(step.run_id in busy)
        busy.add(step.run_id)
        seen.setdefault(step.run_id, []).append(step.number)
        await asyncio.sleep(0)
        busy.discard(step.run_id)
        return Continue() if step.number < 20 else Succeed()

    async with working(app):
        handles = await aclient.submit_many([("chain", number) for number in range(20)])
        await asyncio.gather(*[handle.result(60) for handle in handles])
    assert not any(overlaps)
    assert all(numbers == list(range(21)) for numbers in seen.values())
    assert len(seen) == 20


async def test_two_workers_share_the_runs_and_no_step_runs_twice(app, aclient, working):
    """[C12] [C13]"""
    seen = []

    @app.runner("chain")
    async def chain(step):
        seen.append((step.run_id, step.number))
        await asyncio.sleep(0)
        return Continue() if step.number < 5 else Succeed()

    async with working(app, concurrency=4), working(app, concurrency=4):
        handles = await aclient.submit_many([("chain", number) for number in range(30)])
        await asyncio.gather(*[handle.result(60) for handle in handles])
    assert len(seen) == len(set(seen)) == 180


async def test_the_key_of_a_step_is_the_same_for_all_its_attempts_and_no_other_steps(
    app, aclient, working
):
    """[C16]"""
    keys = []

    @app.runner("keys", retry=QUICK)
    async def look(step):
        keys.append(step.key)
        if step.attempt < 2:
            raise ValueError
        return Continue() if step.number == 0 else Succeed()

    async with working(app):
        await (await aclient.submit("keys")).result(60)
        await (await aclient.submit("keys")).result(60)
    assert [keys.count(key) for key in dict.fromkeys(keys)] == [2, 2, 2, 2]


async def test_the_key_of_a_restarted_run_is_another(app, aclient, working):
    """[C16] [C8]"""
    keys = []

    @app.runner("keys")
    async def look(step):
        keys.append(step.key)
        return Succeed()

    async with working(app):
        for _ in range(2):
            await (await aclient.submit("keys", run_id="k", on_conflict="restart")).result(60)
    assert len(set(keys)) == 2


@KINDS
async def test_a_memo_survives_attempts(app, aclient, working, is_async):
    """[C15]"""

    def pay(step):
        if (receipt := step.memo.get("receipt")) is None:
            step.memo.put("receipt", {"id": 7, "at": datetime(2030, 1, 1, tzinfo=UTC)})
            raise ConnectionError
        return Succeed([receipt, step.attempt])

    async def pay_async(step):
        if (receipt := await step.memo.get("receipt")) is None:
            await step.memo.put("receipt", {"id": 7, "at": datetime(2030, 1, 1, tzinfo=UTC)})
            raise ConnectionError
        return Succeed([receipt, step.attempt])

    register(app, "pay", is_async, pay, pay_async, retry=QUICK)
    async with working(app):
        receipt, attempt = await (await aclient.submit("pay")).result(60)
    assert (receipt, attempt) == ({"id": 7, "at": datetime(2030, 1, 1, tzinfo=UTC)}, 2)


async def test_a_memo_is_of_its_step_only(app, aclient, working):
    """[C15]"""
    seen = []

    @app.runner("memo")
    async def memo(step):
        seen.append(await step.memo.get("k", "nothing"))
        await step.memo.put("k", step.number)
        seen.append(await step.memo.get("k"))
        return Continue() if step.number < 2 else Succeed()

    async with working(app):
        await (await aclient.submit("memo")).result(60)
    assert seen == ["nothing", 0, "nothing", 1, "nothing", 2]


async def test_a_memo_of_one_step_does_not_show_in_a_step_whose_number_begins_alike(
    app, aclient, working
):
    """[C15] Step 1 and step 10, key `0.x` and `x`."""
    seen = []

    @app.runner("memo", retry=QUICK)
    async def memo(step):
        if step.number in (1, 10) and step.attempt == 1:
            await step.memo.put("0.x" if step.number == 1 else "x", step.number)
            raise ValueError
        if step.number in (1, 10):
            seen.append([await step.memo.get(key) for key in ("x", "0.x")])
        return Continue() if step.number < 10 else Succeed()

    async with working(app):
        await (await aclient.submit("memo")).result(60)
    assert seen == [[None, 1], [10, None]]


async def test_a_memo_value_over_the_limit_or_unstorable_raises_where_it_is_put(
    app, aclient, working
):
    """[C7] [C6]"""

    @app.runner("memo", retry=RetryPolicy(max_attempts=1))
    async def memo(step):
        problems = []
        for value in ("x" * 2_000_000, object()):
            try:
                await step.memo.put("k", value)
            except Exception as error:  # noqa: BLE001  whichever it is
                problems.append(type(error).__name__)
        return Succeed(problems)

    async with working(app):
        assert await (await aclient.submit("memo")).result(60) == [
            "PayloadTooLarge",
            "UnsupportedValue",
        ]


async def test_effects_are_applied_with_the_outcome_and_read_with_kv(app, aclient, working):
    """[C17]"""

    @app.runner("fx")
    async def fx(step):
        match step.number:
            case 0:
                step.effects.put("a", 1)
                step.effects.put("b", {"x": [1]})
                return Continue()
            case 1:
                step.effects.delete("a")
                step.effects.put("b", 2)
                return Continue(delay=0.01)
            case _:
                step.effects.put("c", 3)
                return Succeed()

    async with working(app):
        run = await aclient.submit("fx", run_id="fx")
        await run.result(60)
    assert [await aclient.kv("fx", key) for key in "abc"] == [None, 2, 3]


async def test_effects_are_not_seen_before_the_step_commits(app, aclient, working):
    """[C17]"""
    put, go = asyncio.Event(), asyncio.Event()

    @app.runner("fx")
    async def fx(step):
        step.effects.put("a", 1)
        put.set()
        await go.wait()
        return Succeed()

    async with working(app):
        run = await aclient.submit("fx", run_id="fx")
        await put.wait()
        assert await aclient.kv("fx", "a") is None
        go.set()
        await run.result(60)
    assert await aclient.kv("fx", "a") == 1


@pytest.mark.parametrize("error", [ValueError, PermanentError])
async def test_effects_are_dropped_when_the_step_raises_for_good_or_not(
    app, aclient, working, error
):
    """[C17]"""

    @app.runner("fx", retry=RetryPolicy(max_attempts=2, initial=0.001))
    async def fx(step):
        step.effects.put("a", step.attempt)
        raise error

    async with working(app):
        await (await aclient.submit("fx", run_id="fx")).wait(60)
    assert await aclient.kv("fx", "a") is None


@pytest.mark.parametrize(
    ("outcome", "kept"), [(Fail("no"), 1), (Cancel("no"), 1)], ids=["Fail", "Cancel"]
)
async def test_effects_of_a_verdict_are_applied(app, aclient, working, outcome, kept):
    """[C17]"""

    @app.runner("fx")
    async def fx(step):
        step.effects.put("a", 1)
        return outcome

    async with working(app):
        await (await aclient.submit("fx", run_id="fx")).wait(60)
    assert await aclient.kv("fx", "a") == kept


@pytest.mark.parametrize(
    "outcome", [Succeed(), Continue(), Cancel("mine")], ids=["Succeed", "Continue", "Cancel"]
)
async def test_effects_are_dropped_when_the_run_is_cancelled_from_outside(
    app, aclient, working, outcome
):
    """[C17]"""
    started = asyncio.Event()

    @app.runner("fx")
    async def fx(step):
        step.effects.put("a", 1)
        started.set()
        await step.cancel.wait()
        return outcome

    async with working(app):
        run = await aclient.submit("fx", run_id="fx")
        await started.wait()
        await run.cancel()
        await run.wait(60)
    assert await aclient.kv("fx", "a") is None


async def test_put_and_delete_of_one_key_in_one_step_is_an_error(app, aclient, working):
    """[C17]"""

    @app.runner("fx")
    async def fx(step):
        step.effects.put("a", 1)
        step.effects.delete("a")
        return Succeed()

    async with working(app):
        status = await (await aclient.submit("fx", run_id="fx")).wait(60)
    assert (status.state, status.attempt, status.error.type) == ("failed", 1, "InvalidOption")


async def test_kv_of_an_unknown_run_is_nothing(aclient):
    assert await aclient.kv("nobody", "a") is None


@KINDS
async def test_extend_moves_the_timeout_of_the_step(app, aclient, working, is_async):
    """[C16]"""
    import time

    def slow(step):
        step.extend(timedelta(seconds=30))
        time.sleep(0.3)  # what is under test is that nothing happens in this time
        return Succeed(step.attempt)

    async def slow_async(step):
        await step.extend(30)
        await asyncio.sleep(0.3)
        return Succeed(step.attempt)

    register(app, "slow", is_async, slow, slow_async, step_timeout=0.1, retry=QUICK)
    async with working(app):
        assert await (await aclient.submit("slow")).result(60) == 1


async def test_extend_keeps_the_claim_that_long_and_never_shortens_it(
    app, aclient, working, real, keys
):
    """[C16]"""
    leases = []

    @app.runner("slow")
    async def slow(step):
        for seconds in (1000, 1):
            await step.extend(seconds)
            leases.append(real.zscore(keys.claims, f"run:{step.run_id}") - real.time()[0])
        return Succeed()

    async with working(app):
        await (await aclient.submit("slow")).result(60)
    assert all(990 < lease < 1001 for lease in leases)


async def test_extend_ends_the_activation_when_the_claim_is_gone(
    app, aclient, working, real, keys, link_to_real
):
    """[C16] [C13]"""
    from stepflow.core.outcomes import Lost
    from stepflow.engine.env import Env
    from stepflow.engine.recovery.again import hand_over_again
    from stepflow.store.connection.sync import carry_out

    after = []

    @app.runner("slow")
    async def slow(step):
        if step.number == 0 and not after:
            after.append("first")
            assert carry_out(
                link_to_real, hand_over_again(step.run_id, Lost(), "", Env(keys, app.settings))
            )
            try:
                await step.extend(10)
            except Exception:  # noqa: BLE001  what must not be swallowed is no Exception
                after.append("swallowed")
            after.append("went on")
        return Succeed(len(after))

    async with working(app):
        assert await (await aclient.submit("slow")).result(60) == 1
    assert after == ["first"]


async def test_a_delayed_continue_sleeps_in_redis_and_is_not_claimable_before(
    app, aclient, working, real, keys, link_to_real
):
    """[C10] [C19]"""

    @app.runner("naps")
    async def naps(step):
        return Continue("up", delay=1000) if step.number == 0 else Succeed(step.payload)

    async with working(app):
        run = await aclient.submit("naps", run_id="n")
        status = await until(lambda: _in_state(run, "scheduled"))
        assert (status.due_at - status.updated_at).total_seconds() == pytest.approx(1000, abs=0.01)
        assert status.waits_for.startswith("its due time")
    call = claim_steps(
        keys, sources_of(keys, "default"), given="", stem="x.", number=0, lease_s=1, limit=9,
        live_workers=1, worker="x", now=0.0, runners=["naps"],
    )  # fmt: skip
    assert link_to_real.call(call).taken == []


async def _in_state(run, state):
    status = await run.status()
    return status if status.state == state else None


@pytest.mark.parametrize("when", ["delay", "at", "past", "aware"])
async def test_a_step_whose_time_comes_runs(app, aclient, working, when):
    """[C10]"""
    made = []

    @app.runner("naps")
    async def naps(step):
        if step.number:
            return Succeed(datetime.now(UTC).timestamp() - made[0])
        now = datetime.now(UTC)
        made.append(now.timestamp() + (0 if when == "past" else 0.15))
        return {
            "delay": Continue(delay=timedelta(seconds=0.15)),
            "at": Continue(at=made[0]),
            "past": Continue(at=now - timedelta(days=1)),
            "aware": Continue(at=now + timedelta(seconds=0.15)),
        }[when]

    async with working(app):
        assert await (await aclient.submit("naps")).result(60) >= -0.001


async def test_a_delay_far_away_does_not_hold_up_a_shorter_one(app, aclient, working):
    """[C10] Also where another queue's delivery is the first that is due."""

    @app.runner("fine")
    async def fine(step):
        return Succeed("done")

    async with working(app):
        await aclient.submit("fine", delay=3600)
        await aclient.submit("fine", delay=0.05, queue="elsewhere", run_id="elsewhere")
        assert await (await aclient.submit("fine", delay=0.1)).result(60) == "done"
        assert (await aclient.status("elsewhere")).state == "pending"


async def test_start_at_is_a_delay_by_the_calendar(app, aclient):
    """[C10]"""
    at = datetime(2100, 1, 1, tzinfo=UTC)
    run = await aclient.submit("fine", start_at=at)
    status = await run.status()
    assert (status.state, status.due_at) == ("scheduled", at)

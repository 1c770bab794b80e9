"""
Submitting: once per run id, checked before anything is written, a restart as a new generation.
"""

import asyncio
import dataclasses
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import BaseModel, field_validator

from stepflow import (
    AsyncClient,
    Client,
    PermanentError,
    RetryPolicy,
    RunSpec,
    RunState,
    Step,
    Stepflow,
    Succeed,
    Webhook,
)
from stepflow.core.backoff import RetryPolicy as Policy
from stepflow.errors import (
    InvalidName,
    InvalidOption,
    InvalidRunId,
    PayloadTooLarge,
    ReservedHeader,
    RunConflict,
    UnsupportedValue,
    UsageError,
)
from stepflow.settings import LimitSettings, Settings
from tests.support import dump, until


async def test_a_submitted_run_is_there_with_its_step_and_its_queue_entry(aclient, real, keys):
    """[C1]"""
    run = await aclient.submit(
        "x", {"n": 1}, run_id="a1", headers={"h": "1"}, priority="high", queue="q", timeout=60
    )
    status = await run.status()
    assert run.created
    assert (status.id, status.runner, status.state, status.step, status.attempt) == (
        "a1",
        "x",
        RunState.PENDING,
        0,
        1,
    )
    assert (status.payload, status.headers, status.priority, status.queue) == (
        {"n": 1},
        {"h": "1"},
        "high",
        "q",
    )
    assert status.deadline_at == status.created_at + timedelta(seconds=60)
    assert status.waits_for == "a worker that listens to 'q'"
    assert real.lrange("rq:queue:q.high", 0, -1) == [b"run-a1-0"]


async def test_a_made_up_run_id_is_valid_unique_and_sorts_by_time(aclient):
    """[C2]"""
    first = (await aclient.submit("x")).id
    await asyncio.sleep(0.002)
    more = [run.id for run in await aclient.submit_many([("x", None)] * 50)]
    assert len({first, *more}) == 51
    assert all(first < run_id for run_id in more)
    assert all(len(run_id) == 26 and run_id.isalnum() for run_id in more)


@pytest.mark.parametrize("run_id", ["", "a b", "a:b", "ü", "a/b", "x" * 129, "a\n", 5, b"a"])
async def test_a_run_id_that_cannot_be_one_is_refused_and_nothing_is_written(aclient, real, run_id):
    """[C2]"""
    with pytest.raises(InvalidRunId):
        await aclient.submit("x", run_id=run_id)
    assert dump(real) == {}


@pytest.mark.parametrize("run_id", ["a", "-", "_", "A-1_b", "x" * 128, "a-1-g2", "x-r5", "7"])
async def test_any_valid_run_id_runs(app, aclient, working, run_id):
    """[C2] Also one that looks like the name of a delivery."""

    @app.runner("x", retry=RetryPolicy(initial=0.001))
    async def x(step):
        if step.attempt == 1:
            raise ValueError
        return Succeed(step.run_id)

    async with working(app):
        assert await (await aclient.submit("x", run_id=run_id)).result(60) == run_id


async def test_the_same_submit_again_finds_the_run_at_every_stage_of_its_life(
    app, aclient, working
):
    """[C3]"""
    go = asyncio.Event()

    @app.runner("x")
    async def x(step):
        await go.wait()
        return Succeed("one")

    async def again():
        run = await aclient.submit("x", {"a": 1, "b": {2, 3}}, run_id="a")
        return run.created, (await run.status()).state

    assert await again() == (True, "pending")
    assert await again() == (False, "pending")
    async with working(app):
        run = await aclient.submit("x", {"b": {3, 2}, "a": 1}, run_id="a")
        await until(lambda: in_state(run, "running"))
        assert await again() == (False, "running")
        await run.cancel()
        assert await again() == (False, "cancelling")
        go.set()
        await run.wait(60)
        assert await again() == (False, "cancelled")


async def in_state(run, state):
    status = await run.status()
    return status if status.state == state else None


async def test_headers_delay_queue_and_webhooks_do_not_count_and_the_first_ones_hold(aclient):
    """[C3]"""
    await aclient.submit("x", 1, run_id="a", headers={"h": "1"}, queue="q", priority="low")
    again = await aclient.submit(
        "x",
        1,
        run_id="a",
        headers={"h": "2"},
        queue="p",
        priority="high",
        delay=9,
        webhooks=[Webhook("https://x.example")],
    )
    status = await again.status()
    assert not again.created
    assert (status.headers, status.queue, status.priority, status.state) == (
        {"h": "1"},
        "q",
        "low",
        "pending",
    )


@pytest.mark.parametrize(
    ("runner", "payload", "what"), [("x", 2, "input"), ("y", 1, "runner"), ("x", 1.0, "input")]
)
async def test_another_input_or_runner_is_a_conflict_and_changes_nothing(
    aclient, real, runner, payload, what
):
    """[C3]"""
    await aclient.submit("x", 1, run_id="a")
    before = dump(real)
    with pytest.raises(RunConflict, match=f"run 'a' is pending with a different {what}"):
        await aclient.submit(runner, payload, run_id="a")
    assert dump(real) == before


async def test_an_equal_submit_changes_nothing(aclient, real):
    """[C3]"""
    await aclient.submit("x", 1, run_id="a")
    before = dump(real)
    await aclient.submit("x", 1, run_id="a", headers={"other": "1"}, timeout=5, delay=7)
    assert dump(real) == before


async def test_of_many_concurrent_submits_of_one_id_exactly_one_creates(url, settings, real):
    """[C3]"""

    def submit(number):
        with Client(url, settings=settings) as client:
            return client.submit("x", "same", run_id="a").created

    created = await asyncio.gather(*[asyncio.to_thread(submit, number) for number in range(16)])
    assert created.count(True) == 1
    assert real.llen("rq:queue:default") == 1


BAD = {
    "reserved header": (ReservedHeader, {"headers": {"workflow.id": "x"}}),
    "header value": (InvalidOption, {"headers": {"a": 1}}),
    "header key": (InvalidOption, {"headers": {1: "a"}}),
    "runner": (InvalidName, {"runner": "a b"}),
    "queue": (InvalidName, {"queue": "a.b"}),
    "priority": (InvalidOption, {"priority": "urgent"}),
    "priority type": (InvalidOption, {"priority": 7.5}),
    "delay and start_at": (InvalidOption, {"delay": 1, "start_at": 2.0}),
    "naive start_at": (InvalidOption, {"start_at": datetime(2030, 1, 1)}),
    "endless delay": (InvalidOption, {"delay": float("inf")}),
    "delay that is none": (InvalidOption, {"delay": float("nan")}),
    "text delay": (InvalidOption, {"delay": "5"}),
    "endless timeout": (InvalidOption, {"timeout": float("inf")}),
    "negative delay": (InvalidOption, {"delay": -1}),
    "longest delay": (InvalidOption, {"delay": timedelta.max}),
    "negative timeout": (InvalidOption, {"timeout": timedelta(seconds=-1)}),
    "longest timeout": (InvalidOption, {"timeout": timedelta(days=999_999_999)}),
    "last start_at": (InvalidOption, {"start_at": datetime.max.replace(tzinfo=UTC)}),
    "endless start_at": (InvalidOption, {"start_at": float("inf")}),
    "on_conflict": (InvalidOption, {"on_conflict": "replace"}),
    "too many webhooks": (InvalidOption, {"webhooks": [Webhook("https://x.example")] * 11}),
    "payload": (UnsupportedValue, {"payload": {"a": [1, object()]}}),
    "big payload": (PayloadTooLarge, {"payload": "x" * 1_100_000}),
    "big headers": (PayloadTooLarge, {"headers": {"a": "x" * 1_100_000}}),
    "surrogate header": (UsageError, {"headers": {"a": "\ud800"}}),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_wrong_call_is_refused_before_anything_is_written(aclient, real, what):
    """[C4] [C5] [C6] [C7] [B14]"""
    error, call = BAD[what]
    with pytest.raises(error):
        await aclient.submit(**{"runner": "x", **call})
    assert dump(real) == {}


async def test_an_unsupported_value_is_named_by_its_path(aclient):
    """[C6]"""
    with pytest.raises(UnsupportedValue, match="items"):
        await aclient.submit("x", {"items": [1, object()]})


async def test_an_oversized_payload_is_refused_with_size_and_limit(url):
    """[C7] The limit is a setting."""
    client = Client(url, settings=Settings(limits=LimitSettings(payload_bytes=100)))
    with (
        pytest.raises(PayloadTooLarge, match="203 bytes packed, over the limit of 100") as caught,
        client,
    ):
        client.submit("x", "x" * 201)
    assert (caught.value.size, caught.value.limit) == (203, 100)


async def test_headers_travel_unchanged_to_every_step(app, aclient, working):
    """[C4]"""
    from stepflow import Continue

    seen = []

    @app.runner("x", retry=Policy(initial=0.001))
    async def x(step):
        seen.append(dict(step.headers))
        if step.attempt == 1:
            raise ValueError
        return Succeed() if step.number else Continue(delay=0.001)

    headers = {"tenant": "t1", "Ü": "ñ\n", "": ""}
    async with working(app):
        await (await aclient.submit("x", headers=headers)).result(60)
    assert seen == [headers] * 4


class Order(BaseModel):
    id: UUID
    price: Decimal
    day: date


@dataclasses.dataclass
class Box:
    label: str
    content: set[int]


async def test_values_of_every_supported_kind_arrive_as_they_were_sent(app, aclient, working):
    """[C6]"""
    value = {
        "when": datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "day": date(2030, 1, 2),
        "price": Decimal("1.10"), "id": UUID(int=7), "set": {1, 2}, "tuple": (1, (2,)),
        "bytes": b"\x00\xff", "big": 2**80, 5: None, "f": 1.5,
    }  # fmt: skip

    @app.runner("echo")
    async def echo(step):
        return Succeed(step.payload)

    async with working(app):
        assert await (await aclient.submit("echo", value)).result(60) == value


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_payload_comes_as_the_type_the_annotation_asks_for(app, aclient, working, is_async):
    """[C6]"""

    async def model(step: Step[Order]):
        return Succeed([type(step.payload).__name__, step.payload.price])

    def box(step: Step[Box]):
        return Succeed([type(step.payload).__name__, step.payload.content])

    app.register("typed", model if is_async else box)
    payload = (
        Order(id=UUID(int=1), price=Decimal(3), day=date(2030, 1, 1)) if is_async else Box("b", {1})
    )
    async with working(app):
        result = await (await aclient.submit("typed", payload)).result(60)
    assert result == (["Order", Decimal(3)] if is_async else ["Box", {1}])


async def test_a_payload_that_does_not_fit_fails_the_run_for_good_naming_the_field(
    app, aclient, working
):
    """[C6]"""
    ran = []

    @app.runner("typed")
    async def typed(step: Step[Order]):
        ran.append(step)
        return Succeed()

    async with working(app):
        status = await (
            await aclient.submit("typed", {"id": "no uuid", "price": 1, "day": "2030-01-01"})
        ).wait(60)
    assert (status.state, status.attempt, status.error.type, ran) == (
        "failed",
        1,
        "PayloadMismatch",
        [],
    )
    assert "id:" in status.error.message


async def test_a_validator_that_fails_in_its_own_way_is_an_error_like_any_other(
    app, aclient, working
):
    """[C6] [C20] Was: the worker gave the step up each time, until it had crashed too often."""

    class Looked(BaseModel):
        id: int

        @field_validator("id")
        @classmethod
        def look_up(cls, value):
            return {}[value]

    @app.runner("typed", retry=RetryPolicy(max_attempts=2, initial=0.001))
    async def typed(step: Step[Looked]):
        return Succeed()

    async with working(app):
        status = await (await aclient.submit("typed", {"id": 1})).wait(60)
    assert (status.state, status.attempt, status.crashes, status.error.type) == (
        "failed",
        2,
        0,
        "KeyError",
    )


async def is_paused(aclient, run_id):
    run = await aclient.status(run_id)
    return run if run.state == "paused" else None


async def test_a_stored_payload_that_cannot_be_read_pauses_its_run_and_no_other(
    app, aclient, working, real
):
    """
    [B12] [C13] What is damaged, or written by a later version, must not take the worker along.
    """

    @app.runner("x")
    async def x(step):
        return Succeed("fine")

    for run_id, field in (("a", "payload"), ("b", "spec")):
        await aclient.submit("x", run_id=run_id, headers={"h": "1"})
        real.hset(f"stepflow:run:{run_id}:data", field, b"\xc1")
    from stepflow.store.values.codec import pack

    await aclient.submit("x", run_id="c")
    real.hset("stepflow:run:c:data", "spec", pack({"policy": {"of_a_later_version": 1}}))
    fine = await aclient.submit("x")
    async with working(app):
        assert await fine.result(60) == "fine"
        found = [await until(lambda run_id=run_id: is_paused(aclient, run_id)) for run_id in "abc"]
        for run, what in zip(
            found, ("packed value", "packed value", "of_a_later_version"), strict=True
        ):
            assert run.reason.startswith("unreadable: ")
            assert what in run.reason
        assert len(await aclient.list(state="paused")) == 3
        real.hset("stepflow:run:a:data", "payload", pack(None))
        await aclient.resume("a")
        assert await aclient.result("a", 60) == "fine"
        assert [await aclient.cancel(run_id) for run_id in "bc"] == [True, True]


async def test_after_its_end_the_same_submit_gives_the_ended_run_and_restart_a_new_generation(
    app, aclient, working
):
    """[C8]"""
    results = iter(["one", "two"])

    @app.runner("x")
    async def x(step):
        return Succeed(next(results))

    async with working(app):
        assert await (await aclient.submit("x", run_id="a")).result(60) == "one"
        same = await aclient.submit("x", run_id="a")
        assert (same.created, await same.result(60)) == (False, "one")
        anew = await aclient.submit("x", run_id="a", on_conflict="restart")
        assert (anew.created, await anew.result(60)) == (True, "two")
    assert (await anew.status()).generation == 1


async def test_a_restart_takes_another_input_runner_and_queue(app, aclient, working):
    """[C8]"""

    @app.runner("x")
    async def x(step):
        raise PermanentError("no")

    @app.runner("y")
    async def y(step):
        return Succeed([step.payload, await step.memo.get("k"), dict(step.headers)])

    async with working(app), working(app, queues=["other"]):
        await (await aclient.submit("x", 1, run_id="a", headers={"h": "1"})).wait(60)
        anew = await aclient.submit("y", 2, run_id="a", queue="other", on_conflict="restart")
        assert await anew.result(60) == [2, None, {}]
    assert [run.id for run in await aclient.list(runner="x")] == []
    assert [run.id for run in await aclient.list(state="failed")] == []
    assert [run.id for run in await aclient.list(state="succeeded", runner="y")] == ["a"]


async def test_a_live_run_is_not_restarted(aclient, real):
    """[C8]"""
    await aclient.submit("x", 1, run_id="a")
    before = dump(real)
    assert not (await aclient.submit("x", 1, run_id="a", on_conflict="restart")).created
    with pytest.raises(RunConflict):
        await aclient.submit("x", 2, run_id="a", on_conflict="restart")
    assert dump(real) == before


async def test_of_concurrent_restarts_one_creates(app, aclient, working, url, settings):
    """[C8]"""

    @app.runner("x")
    async def x(step):
        raise PermanentError

    async with working(app):
        await (await aclient.submit("x", run_id="a")).wait(60)
    handles = await asyncio.gather(
        *[aclient.submit("x", run_id="a", on_conflict="restart") for _ in range(10)]
    )
    assert [handle.created for handle in handles].count(True) == 1
    assert (await handles[0].status()).generation == 1


async def test_the_commit_of_an_old_generation_is_refused(app, aclient, working):
    """[C8] A step of generation 0 that comes back when generation 1 is there touches nothing."""
    release, seen = asyncio.Event(), []

    @app.runner("x")
    async def x(step):
        seen.append(step.key)
        if len(seen) == 1:
            try:
                await release.wait()
            except asyncio.CancelledError:
                await release.wait()
            return Succeed("old")
        return Succeed("new")

    async with working(app):
        run = await aclient.submit("x", run_id="a", timeout=0.01)
        assert (await run.wait(60)).error.type == "DeadlineExceeded"
        anew = await aclient.submit("x", run_id="a", on_conflict="restart")
        assert await anew.result(60) == "new"
        release.set()
    assert (await anew.status()).result == "new"
    assert len(set(seen)) == 2


async def test_submit_many_gives_handles_in_order_and_knows_what_was_there(
    aclient, real, monkeypatch
):
    """[C9]"""
    monkeypatch.setattr("stepflow.engine.submit.CHUNK", 50)
    await aclient.submit("x", 7, run_id="r7")
    specs = [RunSpec("x", number, run_id=f"r{number}") for number in range(70)]
    handles = await aclient.submit_many(specs)
    assert [handle.id for handle in handles] == [f"r{number}" for number in range(70)]
    assert [handle.id for handle in handles if not handle.created] == ["r7"]
    assert real.llen("rq:queue:default") == 70


async def test_submit_many_takes_pairs_and_the_same_id_twice(aclient):
    """[C9]"""
    handles = await aclient.submit_many(
        [("x", 1), RunSpec("x", 2, run_id="a"), RunSpec("x", 2, run_id="a")]
    )
    assert [handle.created for handle in handles] == [True, True, False]


async def test_submit_many_checks_all_before_it_writes_the_first(aclient, real):
    """[C9]"""
    with pytest.raises(InvalidRunId):
        await aclient.submit_many([("x", 1), RunSpec("x", 2, run_id="a b")])
    assert dump(real) == {}


def test_submit_many_takes_a_few_round_trips(settings, connection, monkeypatch):
    """[C9]"""
    monkeypatch.setattr("stepflow.engine.submit.CHUNK", 50)

    class Counted:
        trips = 0

        def call(self, call):
            return self.calls([call])[0]

        def calls(self, calls):
            self.trips += 1
            return connection.calls(calls)

    counted = Counted()
    Client("redis://nowhere", settings=settings, connection=counted).submit_many(
        [("x", number) for number in range(70)]
    )
    assert counted.trips <= 4  # the time, the versions that workers hold, and two chunks


async def test_two_name_spaces_on_one_redis_do_not_see_each_other(real, server, settings, working):
    async def runner(step):
        return Succeed(step.payload)

    apps = [Stepflow(server, settings=settings, namespace=name) for name in ("stepflow", "other")]
    for app in apps:
        app.register("x", runner)
    async with working(apps[0]), working(apps[1]):
        runs = [await app.async_client.submit("x", app.namespace, run_id="same") for app in apps]
        assert [await run.result(60) for run in runs] == ["stepflow", "other"]
        assert [len(await app.async_client.list()) for app in apps] == [1, 1]
    for app in apps:
        await app.async_client.close()


@pytest.mark.parametrize("wrong_s", [-3600.0, 3600.0])
async def test_times_are_reckoned_by_the_servers_clock_and_not_by_the_clients(
    url, settings, real, monkeypatch, wrong_s
):
    """
    [C10] [C23] Was: a client whose clock was an hour slow lost a run with a timeout to its deadline
    at once.
    """
    import time
    from types import SimpleNamespace

    wrong = SimpleNamespace(time=lambda: time.time() + wrong_s, monotonic=time.monotonic)
    monkeypatch.setattr("stepflow.store.clock.time", wrong)
    with Client(url, settings=settings) as client:
        statuses = [
            await asyncio.to_thread(lambda: client.submit("x", delay=60, timeout=90).status())
        ]
    async with AsyncClient(url, settings=settings) as other:
        statuses.append(await (await other.submit("x", delay=60, timeout=90)).status())
    now, _ = real.time()
    for status in statuses:
        assert status.created_at.timestamp() == pytest.approx(now, abs=5)
        assert status.due_at - status.created_at == timedelta(seconds=60)
        assert status.deadline_at - status.created_at == timedelta(seconds=90)

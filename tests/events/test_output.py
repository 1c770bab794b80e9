"""Output streams: what steps emit, what counts of it, and how it is read."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

import stepflow
from stepflow import (
    AsyncClient,
    Client,
    Context,
    Continue,
    OutputEnd,
    OutputEvent,
    OutputGap,
    OutputItem,
    OutputReset,
    OutputView,
    PayloadTooLarge,
    PermanentError,
    RetryPolicy,
    Step,
    StepFailed,
    Stepflow,
    Succeed,
    TransientError,
)
from stepflow.errors import InvalidOption, NotInStep, OutputOverflow, RunNotFound, StepOver
from stepflow.settings import LimitSettings, RetentionSettings
from stepflow.store.calls import Call, command
from stepflow.testing import Harness, captured_output
from stepflow.testing.errors import RunUnfinished
from tests.conftest import Working
from tests.support import until

QUICK = RetryPolicy(max_attempts=3, initial=0.001, jitter=False)


async def read(client: AsyncClient, run_id: str, **options: Any) -> list[OutputEvent]:
    """Read a stream to the end of its run."""
    async with asyncio.timeout(60):
        return [event async for event in client.output(run_id, **options)]


def brief(events: list[OutputEvent]) -> list[Any]:
    """Show events in short: the data of items, `reset <scope>`, `gap`, `end <state>`."""
    short: list[Any] = []
    for event in events:
        match event:
            case OutputItem():
                short.append(event.data)
            case OutputReset():
                short.append(f"reset {event.scope} {event.attempt}")
            case OutputGap():
                short.append("gap")
            case OutputEnd():
                short.append(f"end {event.state}")
    return short


def shown(events: list[OutputEvent]) -> list[Any]:
    """Give the data of what a reader that obeys resets shows at the end."""
    view = OutputView()
    for event in events:
        view.apply(event)
    return [item.data for item in view.items]


async def test_what_a_runner_emits_is_read_in_order_up_to_the_end_of_the_run(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E6] [E12] [E13]"""

    @app.runner("talk")
    async def talk(step: Step[Any]) -> Any:
        stepflow.emit(f"a{step.number}")
        await step.emit({"n": step.number}, "facts")
        stepflow.emit(f"b{step.number}")
        return Continue(None) if step.number < 2 else Succeed()

    async with working(app):
        run = await aclient.submit("talk")
        events = await read(aclient, run.id)
    assert brief(events) == [
        "a0", {"n": 0}, "b0", "a1", {"n": 1}, "b1", "a2", {"n": 2}, "b2", "end succeeded",
    ]  # fmt: skip
    assert [(event.topic, event.scope) for event in events[:2]] == [("out", "0"), ("facts", "0")]
    ids = [event.id for event in events]
    assert brief(await read(aclient, run.id, after=ids[7])) == ["b2", "end succeeded"]
    assert brief(await read(aclient, run.id, topics="facts")) == [
        {"n": 0}, {"n": 1}, {"n": 2}, "end succeeded",
    ]  # fmt: skip
    assert brief(await read(aclient, run.id, after="latest")) == ["end succeeded"]


async def test_a_reader_that_is_there_gets_an_item_while_the_step_goes_on(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E6] [E13] Emitting needs no await, and the item is out before the step is."""
    go_on = asyncio.Event()

    @app.runner("slow")
    async def slow(step: Step[Any]) -> Any:
        stepflow.emit("first")
        await go_on.wait()
        stepflow.emit("second")
        return Succeed()

    async with working(app):
        run = await aclient.submit("slow")
        seen = []
        async with asyncio.timeout(60):
            async for event in run.output():
                seen.append(event)
                go_on.set()
    assert brief(seen) == ["first", "second", "end succeeded"]


def test_the_blocking_client_reads_the_same(app: Stepflow, client: Client, aworker: None) -> None:
    """[E13]"""
    run = client.submit("talk-thrice")
    assert brief(list(run.output())) == [0, 1, 2, "end succeeded"]
    assert brief(list(client.output(run.id, live=False))) == [0, 1, 2, "end succeeded"]
    with pytest.raises(RunNotFound):
        list(client.output("nobody"))


@pytest.fixture
def aworker(app: Stepflow, working: Working) -> Any:
    """A worker in a thread, for the blocking client."""

    @app.runner("talk-thrice")
    def talk(step: Step[Any]) -> Any:
        for n in range(3):
            stepflow.emit(n)
        return Succeed()

    ready, done = threading.Event(), threading.Event()

    async def work() -> None:
        async with working(app):
            ready.set()
            while not done.is_set():
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    assert ready.wait(60)
    yield
    done.set()
    thread.join()


async def test_threads_of_a_step_emit_and_those_without_its_context_are_told(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E6]"""

    @app.runner("threads")
    def threads(step: Step[Any]) -> Any:
        told = []

        def lost() -> None:
            try:
                stepflow.emit("lost")
            except NotInStep as error:
                told.append(str(error))

        context = contextvars.copy_context()
        ours = threading.Thread(target=lambda: context.run(stepflow.emit, "of a thread"))
        others = threading.Thread(target=lost)
        for thread in (ours, others):
            thread.start()
            thread.join()
        stepflow.emit("of the step")
        return Succeed(told)

    async with working(app):
        run = await aclient.submit("threads")
        assert brief(await read(aclient, run.id)) == [
            "of a thread", "of the step", "end succeeded",
        ]  # fmt: skip
        assert "copy_context" in (await run.result(60))[0]


async def test_what_an_attempt_said_that_is_tried_again_is_void(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E9] [E10] A runner's step and a workflow's, in the same words."""

    @app.runner("twice", retry=QUICK)
    async def twice(step: Step[Any]) -> Any:
        stepflow.emit(f"{step.number} try {step.attempt}")
        if step.attempt == 1:
            raise TransientError("once more")
        return Continue(None) if step.number == 0 else Succeed()

    tries: list[int] = []

    async def chat() -> str:
        tries.append(1)
        stepflow.emit(f"try {len(tries)}")
        if len(tries) < 3:
            raise TransientError("once more")
        return "done"

    @app.workflow("flow", retry=QUICK)
    async def flow(ctx: Context) -> None:
        await ctx.step("chat", chat)
        await ctx.step("chat again", chat)

    async with working(app):
        run, other = await aclient.submit("twice"), await aclient.submit("flow")
        events, others = await read(aclient, run.id), await read(aclient, other.id)
    assert brief(events) == [
        "0 try 1", "reset 0 2", "0 try 2", "1 try 1", "reset 1 2", "1 try 2", "end succeeded",
    ]  # fmt: skip
    assert shown(events) == ["0 try 2", "1 try 2"]
    assert brief(others) == [
        "try 1", "reset 0 2", "try 2", "reset 0 3", "try 3", "try 4", "end succeeded",
    ]  # fmt: skip
    assert shown(others) == ["try 3", "try 4"]


async def test_what_a_step_said_that_fails_or_is_given_up_is_void(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E9] Its text does not stand beside that of the step which takes its place."""
    begun = asyncio.Event()

    async def fails() -> None:
        stepflow.emit("of the broken model")
        raise PermanentError("broken")

    async def hangs() -> None:
        stepflow.emit("of the slow model")
        begun.set()
        await asyncio.sleep(60)

    async def works() -> None:
        await begun.wait()
        stepflow.emit("of the good model")

    @app.workflow("fallback")
    async def fallback(ctx: Context) -> None:
        with pytest.raises(StepFailed):
            await ctx.step("fails", fails)
        slow = asyncio.ensure_future(ctx.step("hangs", hangs))
        await ctx.step("works", works)
        slow.cancel()
        await ctx.step("end", works)

    async with working(app):
        run = await aclient.submit("fallback")
        events = await read(aclient, run.id)
    assert shown(events) == ["of the good model"] * 2
    assert brief(events).count("reset 0 None") == 1


async def test_a_crash_voids_what_was_not_committed_and_nothing_else(
    app: Stepflow, aclient: AsyncClient, working: Working, real
) -> None:
    """[E9] [E10] The second worker says so as it goes live, before the step says anything."""
    lives = []

    async def say(name: str) -> str:
        stepflow.emit(f"{name} in life {len(lives)}")
        if name != "first" and len(lives) == 1:
            await asyncio.sleep(60)
        return name

    @app.workflow("flow")
    async def flow(ctx: Context) -> None:
        lives.append(1)
        await ctx.step("first", say, "first")
        await ctx.emit("a fact")
        await asyncio.gather(ctx.step("a", say, "a"), ctx.step("b", say, "b"))

    async with working(app) as worker:
        run = await aclient.submit("flow")
        await until(lambda: real.xlen(f"stepflow:run:{run.id}:out") == 4)
        real.zadd("stepflow:claims", {f"run:{run.id}": 1.0})
        worker.worker_state.runs[run.id].lose()
        worker.worker_state.sweep()
        events = await read(aclient, run.id)
    told = brief(events)[4:]
    assert {"reset 2 1", "reset 3 1"} <= set(told)
    assert told.index("reset 2 1") < told.index("a in life 2")
    assert told.index("reset 3 1") < told.index("b in life 2")
    assert shown(events)[:2] == ["first in life 1", "a fact"]
    assert sorted(shown(events)[2:]) == ["a in life 2", "b in life 2"]


async def test_ctx_emit_says_once_what_is_replayed(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E7] In an `async def` and in a plain workflow."""

    @app.workflow("says")
    async def says(ctx: Context) -> None:
        await ctx.emit("one", topic="progress")
        await ctx.sleep(0.05)
        await ctx.emit("two")

    @app.workflow("plain")
    def plain(ctx: Any) -> None:
        ctx.emit("one")
        ctx.sleep(0.05)
        ctx.emit("two")

    async with working(app):
        for name in ("says", "plain"):
            run = await aclient.submit(name)
            events = await read(aclient, run.id)
            assert brief(events) == ["one", "two", "end succeeded"]
            assert [step.kind for step in await aclient.steps(run.id)] == ["sleep"]
            assert [event.scope for event in events[:2]] == [None, None]
            assert events[0].topic == ("progress" if name == "says" else "out")


async def test_workflow_code_itself_is_told_to_use_ctx(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    @app.workflow("wrong", retry=RetryPolicy(max_attempts=1))
    async def wrong(ctx: Context) -> None:
        stepflow.emit("again on each replay")

    async with working(app):
        run = await aclient.submit("wrong")
        status = await run.wait(60)
    assert "in workflow code call ctx.emit" in status.error.message


async def test_committed_items_come_only_once_their_step_is_committed(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E9] No reset among them: nothing that was given is void later."""
    go_on = asyncio.Event()

    @app.runner("twice", retry=QUICK)
    async def twice(step: Step[Any]) -> Any:
        await step.emit(f"{step.number} try {step.attempt}")
        if step.number == 1:
            await go_on.wait()
        if step.attempt == 1:
            raise TransientError("once more")
        return Continue(None) if step.number == 0 else Succeed()

    async with working(app):
        run = await aclient.submit("twice")
        seen = []
        async with asyncio.timeout(60):
            async for event in aclient.output(run.id, committed=True):
                seen.append(event)
                go_on.set()
    assert brief(seen) == ["0 try 2", "1 try 2", "end succeeded"]


async def test_committed_items_of_a_workflow_follow_its_journal(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E9] Steps by their place, and by a key that was forgotten in between."""

    async def say(text: str) -> str:
        stepflow.emit(text)
        return text

    async def fails() -> None:
        stepflow.emit("never")
        raise PermanentError("no")

    @app.workflow("flow")
    async def flow(ctx: Context, turn: int) -> Any:
        await ctx.step("say", say, f"plain {turn}")
        await ctx.step("say", say, f"first {turn}", key="k")
        await ctx.forget("k")
        await ctx.step("say", say, f"second {turn}", key="k")
        with pytest.raises(StepFailed):
            await ctx.step("fails", fails)
        await ctx.emit(f"fact {turn}")
        if turn == 0:
            return await ctx.continue_as_new(1)
        return None

    async with working(app):
        run = await aclient.submit("flow", 0)
        await run.wait(60)
        said = [
            f"{word} {turn}" for turn in (0, 1) for word in ("plain", "first", "second", "fact")
        ]
        assert brief(await read(aclient, run.id, committed=True)) == [*said, "end succeeded"]
        assert shown(await read(aclient, run.id)) == said


async def test_the_oldest_items_go_first_and_a_reader_hears_of_it(
    url: str, settings: Any, aclient: AsyncClient, working: Working, real
) -> None:
    """[E11] By their number, and by their bytes."""
    limits = LimitSettings(output_items=10, output_bytes=1000)
    app = Stepflow(url, settings=settings.model_copy(update={"limits": limits}))

    @app.runner("many")
    async def many(step: Step[Any]) -> Any:
        for n in range(25):
            await step.emit(n)
        return Succeed()

    @app.runner("heavy")
    async def heavy(step: Step[Any]) -> Any:
        for n in range(5):
            await step.emit(f"{n}" * 300)
        return Succeed()

    async with working(app):
        run, other = await aclient.submit("many"), await aclient.submit("heavy")
        await run.wait(60)
        await other.wait(60)
    events = await read(aclient, run.id)
    assert brief(events) == ["gap", *range(15, 25), "end succeeded"]
    assert brief(await read(aclient, run.id, after=events[3].id)) == [
        *range(18, 25),
        "end succeeded",
    ]
    first, _, number = events[0].id.partition("-")
    late = await read(aclient, run.id, after=f"{first}-{int(number) - 3}")
    assert late[0] == OutputGap(events[0].id, f"{first}-{int(number) - 3}")
    assert [item[:1] for item in shown(await read(aclient, other.id))] == ["2", "3", "4"]
    record = real.hget(f"stepflow:run:{other.id}", "out")
    weights = [
        sum(map(len, fields.values())) for _, fields in real.xrange(f"stepflow:run:{other.id}:out")
    ]
    assert int(record.split(b"|")[0]) == sum(weights) < 1000


async def test_an_item_that_is_too_large_or_cannot_be_stored_fails_where_it_is_emitted(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E11]"""

    @app.runner("large")
    async def large(step: Step[Any]) -> Any:
        with pytest.raises(PayloadTooLarge, match="STEPFLOW_LIMITS_OUTPUT_ITEM_BYTES"):
            stepflow.emit("x" * 70_000)
        with pytest.raises(stepflow.UnsupportedValue):
            stepflow.emit(object())
        with pytest.raises(InvalidOption):
            stepflow.emit(1, topic="a|b")
        return Succeed("fine")

    async with working(app):
        run = await aclient.submit("large")
        assert await run.result(60) == "fine"
        assert brief(await read(aclient, run.id)) == ["end succeeded"]


async def test_a_step_that_never_waits_is_told_and_one_that_waits_is_held_back(
    url: str, settings: Any, aclient: AsyncClient, working: Working
) -> None:
    """[E6]"""
    limits = LimitSettings(output_items=100)
    app = Stepflow(url, settings=settings.model_copy(update={"limits": limits}))

    def too_many() -> None:
        for n in range(101):
            stepflow.emit(n)

    @app.runner("flood")
    async def flood(step: Step[Any]) -> Any:
        with pytest.raises(OutputOverflow, match=r"await stepflow\.emit"):
            too_many()
        return Succeed("told")

    @app.runner("waits")
    async def waits(step: Step[Any]) -> Any:
        for n in range(101):
            await step.emit(n)
        return Succeed()

    async with working(app):
        run = await aclient.submit("flood")
        assert await run.result(60) == "told"
        assert brief(await read(aclient, run.id)) == [*range(100), "end succeeded"]
        run = await aclient.submit("waits")
        assert brief(await read(aclient, run.id))[-2:] == [100, "end succeeded"]


async def test_a_thread_waits_while_a_thousand_of_its_items_wait(
    app: Stepflow, aclient: AsyncClient, working: Working, monkeypatch
) -> None:
    """[E6] It blocks, and loses nothing."""
    monkeypatch.setattr("stepflow.worker.events.writer.FULL_ITEMS", 10)

    @app.runner("thread")
    def thread(step: Step[Any]) -> Any:
        for n in range(300):
            step.emit(n)
        return Succeed()

    async with working(app):
        run = await aclient.submit("thread")
        assert brief(await read(aclient, run.id)) == [*range(300), "end succeeded"]


async def test_nothing_is_emitted_after_the_step(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E6] A task or a thread left behind is told."""
    kept: list[Any] = []

    async def say() -> None:
        kept.append(contextvars.copy_context())

    @app.workflow("flow")
    async def flow(ctx: Context) -> None:
        await ctx.step("say", say)

    @app.runner("leaves")
    async def leaves(step: Step[Any]) -> Any:
        kept.append(contextvars.copy_context())
        return Succeed()

    async with working(app):
        for name in ("flow", "leaves"):
            await (await aclient.submit(name)).wait(60)
        for context in kept:
            with pytest.raises(StepOver, match="what it emits comes too late"):
                context.run(stepflow.emit, "late")


async def test_the_output_lives_as_long_as_the_record_or_as_the_settings_say(
    url: str, settings: Any, aclient: AsyncClient, working: Working, real
) -> None:
    """[E12] A live run's output has no end, a retried run goes on in the same stream."""
    retention = RetentionSettings(output_s=50)
    app = Stepflow(url, settings=settings.model_copy(update={"retention": retention}))
    lives = []

    @app.runner("fails-once", retry=RetryPolicy(max_attempts=1))
    async def fails_once(step: Step[Any]) -> Any:
        lives.append(real.ttl(f"stepflow:run:{step.run_id}:out"))
        await step.emit(f"life {len(lives)}")
        if len(lives) == 1:
            raise TransientError("no")
        lives.append(real.ttl(f"stepflow:run:{step.run_id}:out"))
        return Succeed()

    async with working(app):
        run = await aclient.submit("fails-once")
        assert brief(await read(aclient, run.id)) == ["life 1", "end failed"]
        assert 0 < real.ttl(f"stepflow:run:{run.id}:out") <= 50
        await aclient.retry(run.id)
        events = await read(aclient, run.id)
    assert brief(events) == ["life 1", "reset 0 1", "life 2", "end succeeded"]
    assert lives == [-2, -1, -1]
    real.delete(f"stepflow:run:{run.id}:out")
    assert brief(await read(aclient, run.id)) == ["gap", "end succeeded"]


async def test_a_new_generation_begins_a_new_stream(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E12]"""

    @app.runner("talk")
    async def talk(step: Step[Any]) -> Any:
        stepflow.emit(step.payload)
        return Succeed()

    async with working(app):
        for turn in (1, 2):
            run = await aclient.submit("talk", turn, run_id="same", on_conflict="restart")
            await run.wait(60)
            assert brief(await read(aclient, "same")) == [turn, "end succeeded"]


async def test_a_damaged_stream_stops_neither_its_run_nor_its_readers(
    app: Stepflow, aclient: AsyncClient, working: Working, real
) -> None:
    @app.runner("talk")
    async def talk(step: Step[Any]) -> Any:
        key = f"stepflow:run:{step.run_id}"
        real.set(f"{key}:out", "no stream")
        real.hset(key, "out", "nonsense")
        await step.emit("one")
        real.xadd(f"{key}:out", {"d": b"\xc1", "a": "x"})
        return Succeed()

    async with working(app):
        run = await aclient.submit("talk")
        events = await read(aclient, run.id)
    assert brief(events)[0] == "one"
    assert "unreadable" in events[1].data
    assert brief(events)[2:] == ["end succeeded"]


def test_places_in_a_stream_are_checked(client: Client) -> None:
    for wrong in ("x", "1-", "-1", "1-2-3", "1_0-2", 3):
        with pytest.raises(InvalidOption, match="place in an output stream"):
            client.output("any", after=wrong)


async def test_a_run_that_emits_nothing_costs_no_key_and_no_command(
    app: Stepflow, aclient: AsyncClient, working: Working, real
) -> None:
    """[E14]"""

    async def say() -> None:
        pass

    @app.workflow("silent")
    async def silent(ctx: Context) -> None:
        await ctx.step("say", say)

    async with working(app):
        run = await aclient.submit("silent")
        await run.wait(60)
    assert not real.exists(f"stepflow:run:{run.id}:out")
    assert not {b"out", b"out_gone"} & set(real.hgetall(f"stepflow:run:{run.id}"))
    assert not any(name.startswith(("emit", "xadd")) for name in real.info("commandstats"))


async def test_what_a_function_emits_can_be_tested_without_a_run() -> None:
    def speak() -> None:
        stepflow.emit({"when": (1, 2)}, "facts")

    with captured_output() as items:
        speak()
        await stepflow.emit("awaited")
    assert [(item.data, item.topic) for item in items] == [
        ({"when": (1, 2)}, "facts"), ("awaited", "out"),
    ]  # fmt: skip
    with pytest.raises(NotInStep, match="captured_output"):
        speak()


async def test_a_harness_reads_what_its_runs_emit() -> None:
    app = Stepflow()

    @app.workflow("flow")
    async def flow(ctx: Context) -> None:
        await ctx.step("say", speak)
        await ctx.wait_for_signal("go")

    async def speak() -> None:
        stepflow.emit("hello")

    async with Harness(app) as h:
        run = await h.submit("flow")
        said = [event async for event in h.client.output(run.id, live=False)]
        assert brief(said) == ["hello"]
        with pytest.raises(RunUnfinished, match="signal"):
            [event async for event in h.client.output(run.id)]
        with pytest.raises(RunUnfinished, match="signal"):
            [event async for event in h.client.events(run.id)]
        await h.signal(run, "go")
        assert brief([event async for event in h.client.output(run.id)])[1:] == ["end succeeded"]


async def test_a_step_whose_output_redis_refuses_for_good_fails(
    app: Stepflow, aclient: AsyncClient, working: Working, monkeypatch
) -> None:
    """[E6] Its value would say more than its readers have seen."""

    def refuse(*args: Any, **options: Any) -> Call[int]:
        return command("GETDEL", "stepflow:run:x", "one too many", read=int)

    monkeypatch.setattr("stepflow.worker.events.writer.emit", refuse)

    async def say() -> str:
        stepflow.emit("refused")
        return "done"

    @app.workflow("flow")
    async def flow(ctx: Context) -> str:
        return await ctx.step("say", say, retry=RetryPolicy(max_attempts=1))

    async with working(app):
        status = await (await aclient.submit("flow")).wait(60)
    assert status.state == "failed"
    assert "wrong number of arguments" in status.error.message

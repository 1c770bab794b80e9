"""
[B32] [B33] One rule for every end: each way to end, by each kind of code, with its state, error,
hook and compensations.

*undone* says whether the step that was done is undone: by every end but a success, once, whoever
decided the end and when.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
import redis

from stepflow import (
    AsyncClient,
    Cancel,
    ChildFailed,
    Continue,
    Fail,
    PermanentError,
    RetryPolicy,
    RunState,
    Stepflow,
    Succeed,
    TransientError,
)
from stepflow.core.outcomes import HandBack, Park
from stepflow.settings import Settings
from tests.conftest import Working
from tests.support import until

ONCE = RetryPolicy(max_attempts=1)
LARGE = "x" * 2_000_000


class End(NamedTuple):
    state: str
    error: str | None = None
    undone: bool = False


FAILED, CANCELLED = RunState.FAILED, RunState.CANCELLED


def raising(error: BaseException) -> Callable[[], Any]:
    def leave() -> Any:
        raise error

    return leave


#: what the code returns, or raises: and how its run ends
BY_ITSELF: dict[str, tuple[Callable[[], Any], End]] = {
    "a value": (lambda: "value", End(RunState.SUCCEEDED)),
    "None": (lambda: None, End(RunState.SUCCEEDED)),
    "Succeed": (lambda: Succeed("value"), End(RunState.SUCCEEDED)),
    "Fail": (lambda: Fail("no"), End(FAILED, "Fail", undone=True)),
    "Cancel": (lambda: Cancel("no more"), End(CANCELLED, undone=True)),
    "Continue": (lambda: Continue(1), End(FAILED, "NotAnOutcome", undone=True)),
    "the class Fail": (lambda: Fail, End(FAILED, "UnsupportedValue", undone=True)),
    "a Fail in a list": (lambda: [Fail("no")], End(FAILED, "UnsupportedValue", undone=True)),
    "an object": (object, End(FAILED, "UnsupportedValue", undone=True)),
    "too much": (lambda: LARGE, End(FAILED, "PayloadTooLarge", undone=True)),
    "too much in Succeed": (lambda: Succeed(LARGE), End(FAILED, "PayloadTooLarge", undone=True)),
    "what kits say": (Park, End(FAILED, "NotAnOutcome", undone=True)),
    "what the runtime says": (HandBack, End(FAILED, "NotAnOutcome", undone=True)),
    "ValueError": (raising(ValueError("no")), End(FAILED, "ValueError", undone=True)),
    "PermanentError": (raising(PermanentError("no")), End(FAILED, "PermanentError", undone=True)),
    "TransientError": (raising(TransientError("no")), End(FAILED, "TransientError", undone=True)),
    "a group": (
        raising(ExceptionGroup("g", [PermanentError("no")])),
        End(FAILED, "ExceptionGroup", undone=True),
    ),
    "an exit": (raising(SystemExit(0)), End(FAILED, "SystemExit", undone=True)),
    "KeyboardInterrupt": (
        raising(KeyboardInterrupt()),
        End(FAILED, "KeyboardInterrupt", undone=True),
    ),
}


class Ended(NamedTuple):
    """
    What is held against an End: the state, the error's type, how often undone, how often the app's
    hook was called.
    """

    state: str
    error: str | None
    undone: int
    hooks: int


def wanted(end: End, *, has_steps: bool) -> Ended:
    return Ended(end.state, end.error, int(end.undone and has_steps), 1)


class Book:
    """What a test's code did: steps undone and ends told, by run."""

    def __init__(self, app: Stepflow) -> None:
        self.undone: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        app.on_terminal(self.tell)

    def tell(self, outcome: Any) -> None:
        self.told[outcome.run_id] += 1

    def undo(self, run_id: str) -> None:
        self.undone[run_id] += 1

    async def ended(self, run: Any) -> Ended:
        status = await run.wait(60)
        await until(lambda: self.told[run.id])
        return Ended(
            status.state, status.error and status.error.type, self.undone[run.id], self.told[run.id]
        )


@pytest.fixture
def book(app: Stepflow) -> Book:
    return Book(app)


@pytest.fixture
def flows(app: Stepflow, book: Book) -> Stepflow:
    """Workflows that do a step and then end by themselves in the way that they are given."""

    @app.workflow("flow", retry=ONCE)
    async def flow(ctx, way):
        await ctx.step("book", str, ctx.run_id, compensate=book.undo)
        return BY_ITSELF[way][0]()

    @app.workflow("plain", retry=ONCE)
    def plain(ctx, way):
        ctx.step("book", str, ctx.run_id, compensate=book.undo)
        return BY_ITSELF[way][0]()

    @app.workflow("stepless", retry=ONCE)
    async def stepless(ctx, way):
        return BY_ITSELF[way][0]()

    @app.workflow("parked", retry=ONCE)
    async def parked(ctx, way):
        await ctx.step("book", str, ctx.run_id, compensate=book.undo)
        await ctx.sleep(0.01)
        return BY_ITSELF[way][0]()

    @app.workflow("parent", retry=ONCE)
    async def parent(ctx, way):
        """With a child that outlives it, and something to undo besides."""
        await ctx.step("book", str, ctx.run_id, compensate=book.undo)
        await ctx.spawn("waits")
        return BY_ITSELF[way][0]()

    @app.workflow("waits")
    async def waits(ctx):
        await ctx.wait_for_signal("never")

    @app.job(name="job", retry=ONCE)
    def job(way):
        return BY_ITSELF[way][0]()

    @app.job(name="async-job", retry=ONCE)
    async def async_job(way):
        return BY_ITSELF[way][0]()

    return app


@pytest.mark.parametrize(
    "kind", ["flow", "plain", "stepless", "parked", "parent", "job", "async-job"]
)
async def test_each_way_to_end_means_what_it_says(
    flows: Stepflow, aclient: AsyncClient, working: Working, book: Book, kind: str
) -> None:
    given = (lambda way: {"way": way}) if kind.endswith("job") else (lambda way: way)
    async with working(flows):
        runs = {way: await aclient.submit(kind, given(way)) for way in BY_ITSELF}
        ended = {way: await book.ended(run) for way, run in runs.items()}
    has_steps = kind in ("flow", "plain", "parked", "parent")
    assert ended == {way: wanted(end, has_steps=has_steps) for way, (_, end) in BY_ITSELF.items()}


async def test_a_verdict_is_kept_with_its_reason(
    flows: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    async with working(flows):
        for kind in ("flow", "plain", "stepless", "parent"):
            failed = await (await aclient.submit(kind, "Fail")).wait(60)
            assert (failed.error.message, failed.reason, failed.result) == ("no", "no", None)
            cancelled = await (await aclient.submit(kind, "Cancel")).wait(60)
            assert (cancelled.reason, cancelled.error, cancelled.result) == ("no more", None, None)
            assert await (await aclient.submit(kind, "Succeed")).result(60) == "value"


async def test_what_a_runner_returns_besides_outcomes_fails_its_run(
    app: Stepflow, aclient: AsyncClient, working: Working, book: Book
) -> None:
    @app.runner("runner", retry=ONCE)
    async def runner(step):
        return BY_ITSELF[step.payload][0]()

    ways = {
        "Succeed",
        "Fail",
        "Cancel",
        "ValueError",
        "an exit",
        "too much in Succeed",
        "what the runtime says",
    }
    async with working(app):
        runs = {way: await aclient.submit("runner", way) for way in ways}
        assert {way: await book.ended(run) for way, run in runs.items()} == {
            way: wanted(BY_ITSELF[way][1], has_steps=False) for way in ways
        }
        for way in ("a value", "None", "an object", "the class Fail"):
            assert (await book.ended(await aclient.submit("runner", way))).error == "NotAnOutcome"


async def test_a_parent_is_told_how_each_child_ended(
    flows: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    @flows.workflow("family")
    async def family(ctx, kind):
        async def end_of(way):
            child = await ctx.spawn(kind, way)
            try:
                await child.result()
            except ChildFailed as error:
                return [error.status, error.error_type if error.status == "failed" else None]
            return ["succeeded", None]

        return dict(zip(BY_ITSELF, await asyncio.gather(*map(end_of, BY_ITSELF)), strict=True))

    async with working(flows):
        for kind in ("flow", "stepless"):
            told = await (await aclient.submit("family", kind)).result(60)
            assert told == {way: [end.state, end.error] for way, (_, end) in BY_ITSELF.items()}


async def test_a_map_is_told_how_its_children_ended(
    flows: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    ways = ["Fail", "too much", "Cancel", "Succeed"]

    @flows.workflow("mapper")
    async def mapper(ctx):
        ends = await ctx.map("flow", ways, join="settled")
        return [getattr(end, "status", end) for end in ends]

    async with working(flows):
        assert await (await aclient.submit("mapper")).result(60) == [
            "failed",
            "failed",
            "cancelled",
            "value",
        ]


async def test_a_step_that_gives_a_verdict_has_failed_for_good(
    app: Stepflow, aclient: AsyncClient, working: Working, book: Book
) -> None:
    """An outcome is a word about a run, so a step of a workflow cannot say it."""

    @app.workflow("flow")
    async def flow(ctx, way):
        await ctx.step("book", str, ctx.run_id, compensate=book.undo)
        await ctx.step("verdict", BY_ITSELF[way][0])

    async with working(app):
        for way in ("Fail", "Cancel", "Succeed", "Continue", "a Fail in a list"):
            run = await aclient.submit("flow", way)
            assert await book.ended(run) == Ended(FAILED, "StepFailed", 1, 1)


RESTARTS: dict[str, tuple[Callable[[], Any], str]] = {
    "an object": (object, "UnsupportedValue"),
    "too much": (lambda: LARGE, "PayloadTooLarge"),
    "a verdict": (lambda: Fail("no"), "UnsupportedValue"),
}


@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_a_restart_with_what_cannot_be_stored_undoes_what_was_done(
    app: Stepflow, aclient: AsyncClient, working: Working, book: Book, is_plain: bool
) -> None:
    @app.workflow("flow")
    async def flow(ctx, way):
        await ctx.step("book", str, ctx.run_id, compensate=book.undo)
        return await ctx.continue_as_new(RESTARTS[way][0]())

    @app.workflow("plain")
    def plain(ctx, way):
        ctx.step("book", str, ctx.run_id, compensate=book.undo)
        return ctx.continue_as_new(RESTARTS[way][0]())

    async with working(app):
        for way, (_, error) in RESTARTS.items():
            run = await aclient.submit("plain" if is_plain else "flow", way)
            assert await book.ended(run) == Ended(FAILED, error, 1, 1)


async def _misuse(ctx: Any) -> None:
    await asyncio.to_thread(print)


async def _stuck(ctx: Any) -> None:
    await asyncio.get_running_loop().create_future()


async def _restart_not_returned(ctx: Any) -> str:
    await ctx.continue_as_new()
    return "something else"


@pytest.mark.parametrize(
    ("end", "error"),
    [(_misuse, "NotReplayable"), (_stuck, "Stuck"), (_restart_not_returned, "RestartNotReturned")],
    ids=["misuse", "stuck", "restart not returned"],
)
async def test_what_a_workflow_may_not_do_ends_it_and_undoes_what_was_done(
    app: Stepflow,
    aclient: AsyncClient,
    working: Working,
    book: Book,
    end: Callable[[Any], Awaitable[Any]],
    error: str,
) -> None:
    @app.workflow("flow")
    async def flow(ctx):
        await ctx.step("book", str, ctx.run_id, compensate=book.undo)
        return await end(ctx)

    async with working(app):
        assert await book.ended(await aclient.submit("flow")) == Ended(FAILED, error, 1, 1)


async def test_a_stop_from_outside_undoes_what_was_done(
    app: Stepflow, aclient: AsyncClient, working: Working, book: Book
) -> None:
    @app.workflow("flow")
    async def flow(ctx):
        await ctx.step("book", str, ctx.run_id, compensate=book.undo)
        await ctx.wait_for_signal("never")

    async with working(app):
        cancelled = await aclient.submit("flow")
        late = await aclient.submit("flow", timeout=0.2)
        await until(lambda: _is(cancelled, RunState.WAITING))
        assert await cancelled.cancel("enough")
        assert await book.ended(cancelled) == Ended(CANCELLED, None, 1, 1)
        assert await book.ended(late) == Ended(FAILED, "DeadlineExceeded", 1, 1)


async def _is(run: Any, state: RunState) -> bool:
    return (await run.status()).state is state


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"worker": settings.worker.model_copy(update={"max_crashes": 1})}
    )


async def test_a_run_that_was_lost_with_its_workers_too_often_is_undone_before_it_fails(
    app: Stepflow, aclient: AsyncClient, working: Working, book: Book, real: redis.Redis
) -> None:
    """Its worker is lost, as far as Redis can tell, each time it gets to its second step."""
    reached = 0

    async def kill(run_id: str) -> None:
        nonlocal reached
        reached += 1
        real.zadd("stepflow:claims", {f"run:{run_id}": 1.0})
        await asyncio.sleep(60)

    @app.workflow("flow")
    async def flow(ctx):
        await ctx.step("book", str, ctx.run_id, compensate=book.undo)
        await ctx.step("kill", kill, ctx.run_id)

    async with working(app):
        run = await aclient.submit("flow")
        assert await book.ended(run) == Ended(FAILED, "WorkerLost", 1, 1)
    assert reached == 2


async def test_an_input_that_no_longer_fits_does_not_end_a_run_that_has_begun(
    app: Stepflow, aclient: AsyncClient, working: Working, book: Book
) -> None:
    """
    The code changed under it: it stands, and can be cancelled or taken up again by code that reads
    its input.
    """

    @app.workflow("flow")
    async def flow(ctx, given: int):
        await ctx.step("book", str, ctx.run_id, compensate=book.undo)
        await ctx.wait_for_signal("go")

    async with working(app):
        run = await aclient.submit("flow", 1)
        await until(lambda: _is(run, RunState.WAITING))
    later = Stepflow(app.url, settings=app.settings)

    @later.workflow("flow")
    async def changed(ctx, given: list[int]):
        raise AssertionError

    async with working(later):
        await aclient.signal(run.id, "go")
        await until(lambda: _is(run, RunState.PAUSED))
        assert (await run.status()).reason.startswith("code changed: ")
    await aclient.resume(run.id)
    async with working(app):
        assert await book.ended(run) == Ended(RunState.SUCCEEDED, None, 0, 1)

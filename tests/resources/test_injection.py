"""Resources reach the functions that ask for them, in a worker and in a harness [K11] [K12]."""

import asyncio
import functools
import threading
from contextlib import asynccontextmanager, contextmanager

import pytest

from stepflow import Continue, PermanentError, RetryPolicy, Stepflow, Succeed, inject
from stepflow.errors import (
    InvalidOption,
    ResourceNotOpen,
    RunFailed,
)
from stepflow.testing import Harness
from tests.support import until


class Pool:
    """Stands for what connects somewhere."""

    def __init__(self, url="db"):
        self.url = url


@pytest.fixture
def events():
    return []


@pytest.fixture
def pool(app, events):
    @app.resource
    async def pool():
        """The pool."""
        events.append("open pool")
        yield Pool()
        events.append("close pool")

    return pool


async def test_runners_jobs_steps_and_hooks_get_what_they_ask_for(
    app, aclient, working, events, pool
):
    """[K12] `async def` and plain, on the loop and in threads; by position or by keyword."""
    told = asyncio.Event()

    @app.runner("async")
    async def runner(step, db: Pool = inject(pool)):
        return Succeed(db.url)

    @app.runner("plain")
    def plain(step, *, db: Pool = inject(pool)):
        return Succeed([db.url, threading.current_thread() is threading.main_thread()])

    @app.job(name="job")
    async def job(order: int, db: Pool = inject(pool), more: int = 3) -> str:
        return f"{order} {db.url} {more}"

    @app.job(name="plain_job")
    def plain_job(order: int, db: Pool = inject(pool)) -> str:
        return f"{order} {db.url}"

    async def step(order: int, db: Pool = inject(pool)) -> str:
        return f"step {order} {db.url}"

    @app.step
    def declared(order: int, db: Pool = inject(pool)) -> str:
        return f"declared {order} {db.url}"

    @app.workflow("flow")
    async def flow(ctx, order: int):
        return [
            await ctx.step(step, order),
            await ctx.step("named", step, order),
            await ctx.step(declared, order=order),
            await ctx.step("lambda", lambda db=inject(pool): db.url),
            await ctx.options(queue="default").step(declared, order),
        ]

    @app.on_terminal
    async def hook(outcome, db: Pool = inject(pool)):
        if outcome.runner == "plain":
            events.append(f"hook {db.url}")
            told.set()

    async with working(app):
        assert events == ["open pool"]
        assert await (await aclient.submit("async")).result(60) == "db"
        assert await (await aclient.submit("plain")).result(60) == ["db", False]
        assert await (await job.submit(7)).result(60) == "7 db 3"
        assert await (await job.submit(7, more=5)).result(60) == "7 db 5"
        assert await (await plain_job.submit(7)).result(60) == "7 db"
        assert await (await aclient.submit("flow", 7)).result(60) == [
            "step 7 db", "step 7 db", "declared 7 db", "db", "declared 7 db",
        ]  # fmt: skip
        await asyncio.wait_for(told.wait(), 10)
    assert events == ["open pool", "hook db", "close pool"]
    assert pool.__doc__ == "The pool."


async def test_whatever_a_workflow_calls_gets_what_it_asks_for(app, aclient, working, events, pool):
    """[K12] Polls, batches, pages and compensations, in a plain workflow as well."""

    async def look(number: int, db: Pool = inject(pool)) -> str:
        return f"{number} {db.url}"

    def undo(value: str, db: Pool = inject(pool)) -> None:
        events.append(f"undo {value} {db.url}")

    async def fetch(cursor: int | None, db: Pool = inject(pool)) -> tuple[list[str], int | None]:
        return [f"page of {db.url}"], None

    @app.workflow("flow")
    async def flow(ctx):
        found = [await ctx.poll(look, 1, every=5)]
        found += await ctx.batch("all", look, [2, 3])
        found += [item async for page in ctx.pages("list", fetch) for item in page]
        await ctx.step("done", look, 4, compensate=undo)
        events.append(found)
        raise PermanentError("undo it")

    @app.workflow("plain")
    def plain(ctx):
        return [ctx.poll(look, 1, every=5), ctx.step(look, 2)]

    async with working(app):
        with pytest.raises(RunFailed, match="undo it"):
            await (await aclient.submit("flow")).result(60)
        assert await (await aclient.submit("plain")).result(60) == ["1 db", "2 db"]
    assert events[1:3] == [["1 db", "2 db", "3 db", "page of db"], "undo 4 db db"]


async def test_what_others_need_is_set_up_first_and_torn_down_last(app, working, events, pool):
    """[K11] In the order of their needs, plain ones too, each in a thread of its own."""

    @app.resource
    def table(db: Pool = inject(pool)):
        events.append(f"open table of {db.url}")
        entered = threading.current_thread()
        yield "table"
        assert threading.current_thread() is entered
        events.append("close table")

    @app.resource
    @asynccontextmanager
    async def cache(db: Pool = inject(pool), rows: str = inject(table)):
        events.append(f"open cache of {db.url} and {rows}")
        yield "cache"
        events.append("close cache")

    @app.resource
    @contextmanager
    def last():
        yield "last"

    async with working(app):
        pass
    assert events == [
        "open pool", "open table of db", "open cache of db and table",
        "close cache", "close table", "close pool",
    ]  # fmt: skip


async def test_one_of_a_run_is_made_for_each_activation_and_shared_in_it(
    app, aclient, working, events, pool
):
    """[K11] For each step of a runner, and for each activation of a workflow with all its steps."""
    made = iter(range(100))

    @app.resource(scope="run")
    async def session(db: Pool = inject(pool)):
        number = next(made)
        events.append(f"open {number} of {db.url}")
        yield number
        events.append(f"close {number}")

    def read(session: int = inject(session)) -> int:
        return session

    async def write(session: int = inject(session)) -> int:
        return session

    @app.workflow("flow")
    async def flow(ctx):
        first = await asyncio.gather(*(ctx.step(f"w{n}", write) for n in range(3)), ctx.step(read))
        await ctx.wait_for_signal("go")
        return [*first, await ctx.step("again", read)]

    @app.runner("twice")
    async def twice(step, mine: int = inject(session)):
        return Continue() if step.number == 0 else Succeed(mine)

    async with working(app):
        run = await aclient.submit("flow")
        await until(lambda: "close 0" in events)
        await aclient.signal(run.id, "go")
        assert await run.result(60) == [0, 0, 0, 0, 1]
        assert await (await aclient.submit("twice")).result(60) == 3
    opened = [
        f"{word} {n}{of}" for n in range(4) for word, of in [("open", " of db"), ("close", "")]
    ]
    assert events == ["open pool", *opened, "close pool"]


async def test_what_the_function_raises_is_thrown_in_where_its_resource_yields(
    app, aclient, working, events
):
    """[K11] So a transaction of the activation is rolled back."""

    @app.resource(scope="run")
    async def transaction():
        try:
            yield events
        except BaseException as error:
            events.append(f"rollback {error}")
            raise
        events.append("commit")

    @app.job(name="good")
    async def good(notes: list[str] = inject(transaction)):
        notes.append("good")

    @app.job(name="bad", retry=RetryPolicy(max_attempts=1))
    def bad(notes: list[str] = inject(transaction)):
        notes.append("bad")
        msg = "no"
        raise ValueError(msg)

    async with working(app):
        await (await aclient.submit("good", {})).result(60)
        with pytest.raises(RunFailed, match="no"):
            await (await bad.submit()).result(60)
    assert events == ["good", "commit", "bad", "rollback no"]


async def test_a_step_whose_resource_cannot_be_set_up_is_tried_again(app, aclient, working, events):
    """[K11] What the resource raises counts as raised by the step."""

    @app.resource(scope="run")
    async def shaky():
        events.append("try")
        if len(events) == 1:
            raise ConnectionError("not yet")
        yield "there"

    async def use(it: str = inject(shaky)) -> str:
        return it

    @app.workflow("flow")
    async def flow(ctx):
        return await ctx.step(use)

    async with working(app):
        assert await (await aclient.submit("flow")).result(60) == "there"
    assert events == ["try", "try"]


async def test_a_harness_sets_up_what_is_used_and_takes_fakes(app, events):
    """[K12] A fake keeps the real one, and what only that needs, from being set up."""
    app = Stepflow()

    @app.resource
    async def config():
        events.append("config")
        yield "config"

    @app.resource
    async def pool(conf: str = inject(config)):
        events.append("real pool")
        yield Pool()

    @app.resource
    async def log():
        events.append("log")
        yield "log"
        events.append("log closed")

    def charge(order: int, db: Pool = inject(pool), log: str = inject(log)) -> str:
        return f"{order} {db.url} {log}"

    @app.workflow("flow")
    async def flow(ctx):
        return await ctx.step(charge, 1)

    @app.on_terminal
    async def hook(outcome, db: Pool = inject(pool)):
        events.append(f"hook {db.url}")

    async with Harness(app) as h:
        h.resource(pool, Pool("fake"))
        assert await h.result(await h.submit("flow")) == "1 fake log"
    assert events == ["log", "hook fake", "log closed"]


async def test_a_decorator_that_passes_on_what_it_gets_changes_nothing(app, aclient, working, pool):
    """[K12] Nor does a partial; one that names its parameters passes what it likes."""

    def noted(function):
        @functools.wraps(function)
        async def run(*args, **kwargs):
            return f"noted {await function(*args, **kwargs)}"

        return run

    async def charge(order: int, db: Pool = inject(pool), *more: int, note: str = "") -> str:
        return f"{order} {db.url} {more} {note}"

    @app.workflow("flow")
    async def flow(ctx):
        return [
            await ctx.step(charge, 1),
            await ctx.step("noted", noted(charge), 2),
            await ctx.step("partial", functools.partial(charge, note="now"), 3),
            await ctx.step("bound", functools.partial(charge, db=Pool("mine")), 4),
            await ctx.step("again", charge, 5),
        ]

    async with working(app):
        assert await (await aclient.submit("flow")).result(60) == [
            "1 db () ", "noted 2 db () ", "3 db () now", "4 mine () ", "5 db () ",
        ]  # fmt: skip


async def test_a_function_is_called_by_hand_with_what_it_needs(app, pool):
    """[K12] Without it an error says what is missing, at its first use."""

    @app.job(name="job")
    async def job(order: int, db: Pool = inject(pool)) -> str:
        return f"{order} {db.url}"

    assert await job(3, db=Pool("mine")) == "3 mine"
    with pytest.raises(ResourceNotOpen, match="pool' is not set up here"):
        await job(3)


async def test_a_payload_does_not_reach_an_injected_parameter(app, aclient, working, pool):
    """[K12] Neither by a call nor by a payload made elsewhere."""

    @app.job(name="job")
    async def job(order: int, db: Pool = inject(pool)) -> str:
        return db.url

    with pytest.raises(InvalidOption, match="the worker passes 'db'"):
        await job.submit(3, db=Pool("mine"))
    async with working(app):
        run = await aclient.submit("job", {"order": 3, "db": "mine"})
        with pytest.raises(RunFailed, match="db: there is no such parameter"):
            await run.result(60)


def test_what_cannot_be_is_refused_where_it_is_declared(app, pool):
    """[K12] [U6]"""

    @app.resource(scope="run")
    async def session():
        yield 1

    with pytest.raises(InvalidOption, match=r"@app.resource is used on 7"):
        app.resource(7)
    with pytest.raises(InvalidOption, match=r"scope of @app.resource is 'step'"):
        app.resource(scope="step")
    with pytest.raises(InvalidOption, match="has the parameter 'url', which nothing fills in"):

        @app.resource
        async def needing(url):
            yield url

    with pytest.raises(InvalidOption, match=r"needs '.*session', which is one for each activation"):

        @app.resource
        async def cache(db=inject(session)):
            yield db

    with pytest.raises(InvalidOption, match="only its steps get resources"):

        @app.workflow("flow")
        async def flow(ctx, db=inject(pool)):
            pass

    with pytest.raises(InvalidOption, match="takes 'db' by position only"):

        @app.job
        def job(order, db=inject(pool), /):
            pass

    with pytest.raises(InvalidOption, match="only those of a worker have a health"):
        session.health(lambda it: None)
    with pytest.raises(InvalidOption, match=r"give it what @app.resource made"):
        inject(7)

"""
Calls of the public API as type checkers see them; `test_checkers.py` runs mypy and pyright over it.

`assert_type` says what a right call gives. A line with `# error` has a wrong call, which both
checkers must report; they may report nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, assert_type

from pydantic import BaseModel

from stepflow import (
    AsyncClient,
    AsyncRunHandle,
    CallNext,
    Child,
    ChildFailed,
    Client,
    Context,
    Continue,
    CurrentStep,
    ErrorInfo,
    Failed,
    Health,
    HookContext,
    Join,
    Limit,
    ObservedRun,
    ObservedStep,
    Observer,
    Outcome,
    Pending,
    Resource,
    RetryPolicy,
    RunHandle,
    RunOutcome,
    RunState,
    Step,
    Stepflow,
    StepStatus,
    SyncContext,
    Telemetry,
    UserCall,
    Webhook,
    current,
    current_step,
    inject,
)
from stepflow.telemetry import OpenTelemetry
from stepflow.testing import Harness

telemetry: Telemetry = OpenTelemetry(links=True)
Client(telemetry=telemetry)
AsyncClient(telemetry="global")  # error
Stepflow(telemetry=OpenTelemetry)  # error
app = Stepflow("redis://localhost/0", webhooks=["https://example.com/hook"])
GPU = Limit("gpu", concurrency=2)


class Topic(BaseModel):
    text: str


class Hit(BaseModel):
    id: int


class Report(BaseModel):
    hits: list[Hit]


class Decision(BaseModel):
    publish: bool


# functions that are steps


async def search(text: str, limit: int = 3) -> list[Hit]:
    return [Hit(id=limit)] if text else []


def read(hit: Hit, *, deep: bool = False) -> str:
    return f"{hit.id} {deep}"


async def fetch(url: str, timeout: float) -> bytes:
    return f"{url} {timeout}".encode()


@app.step
def count(text: str) -> int:
    return len(text)


@app.step(retry=RetryPolicy(max_attempts=5), timeout=timedelta(seconds=3))
async def charge(order: str, amount: int) -> Hit:
    return Hit(id=len(order) + amount)


async def look_up(job: int) -> Hit | None:
    return Hit(id=job) if job else None


async def look_again(job: int) -> Hit | Pending:
    return Hit(id=job) if job else Pending(delay=5)


async def list_hits(cursor: int | None) -> tuple[list[Hit], int | None]:
    return [Hit(id=cursor or 0)], None


def read_pages(cursor: int | None) -> tuple[list[str], int | None]:
    return [str(cursor)], None


def produce() -> Report:
    return Report(hits=[])


def undo(hits: list[Hit]) -> None:
    del hits


def undo_text(text: str) -> None:
    del text


# workflows


@app.workflow
async def lone(ctx: Context) -> Report:
    return await ctx.step(produce)


@app.workflow("render", version=2)
async def render(ctx: Context, page: int) -> str:
    return await ctx.step("render", str, page)


@app.workflow
def plain(ctx: SyncContext, topic: Topic) -> Report:
    assert_type(ctx.step(search, topic.text), list[Hit])
    assert_type(ctx.step("search", search, topic.text, limit=3), list[Hit])
    assert_type(ctx.step(count, topic.text, key="k"), int)
    assert_type(ctx.step(count, topic.text, limit=[GPU, GPU.of("acme", units=3)]), int)
    assert_type(ctx.options(limit=GPU).step(search, "x", limit=3), list[Hit])
    ctx.step(count, topic.text, limit="gpu")  # error
    assert_type(ctx.options(timeout=30).step(fetch, "u", timeout=3), bytes)
    assert_type(ctx.wait_for_signal("review", type=Decision), Decision)
    assert_type(ctx.wait_for_signal("review", type=Decision, timeout=3), Decision | None)
    assert_type(ctx.ask(Decision, "Publish?"), Decision)
    assert_type(ctx.ask(Decision, "Publish?", timeout=3), Decision | None)
    assert_type(ctx.poll(look_up, 3, every=5), Hit)
    assert_type(ctx.poll("look", look_up, 3, every=5, timeout=60), Hit | None)
    assert_type(ctx.map(render, [1, 2]), list[str])
    assert_type(ctx.map(render, [1, 2], join=Join.any()), list[tuple[int, str]])
    for page in ctx.pages("list", read_pages, cursor=3):
        assert_type(page, list[str])
    assert_type(ctx.batch(count, ["a"]), list[int])
    assert_type(ctx.batch("count", count, ["a"], errors="slot"), list[int | Failed])
    assert_type(ctx.gather(lambda: ctx.step(count, "a"), limit=2), list[int])
    assert_type(ctx.gather(lambda: ctx.step(count, "a"), join="settled"), list[int | Failed])
    assert_type(ctx.spawn(render, 1).result(), str)
    assert_type(ctx.spawn(lone).result(), Report)
    assert_type(ctx.vars.incr("turns"), int)
    assert_type(ctx.vars.typed(Topic).get(), Topic | None)
    assert_type(ctx.vars.typed(Topic).set(topic), None)
    assert_type(ctx.vars.get("topic", type=Topic), Topic | None)
    assert_type(ctx.session("user-7").vars.get("turns", 0, type=int), int)

    def note(text: str) -> int:
        return ctx.step(count, text)

    assert_type(ctx.parallel(*(partial(note, each) for each in "ab")), list[int])
    assert_type(ctx.parallel(lambda: ctx.step(count, "a")), list[int])
    ctx.step(search, 5)  # error
    ctx.step(search, "x", limit="3")  # error
    ctx.step(search("x"))  # error
    ctx.map(render, ["x"])  # error
    ctx.spawn(plain, 5)  # error
    ctx.stepp(search, "x")  # error
    if ctx.patched("v2"):
        return ctx.continue_as_new(topic)
    return ctx.step(produce)


assert_type(RetryPolicy(initial=timedelta(seconds=1), max_delay=300).initial, float)
RetryPolicy(3, 0.5, 2, timedelta(minutes=5))
RetryPolicy(initial="1s")  # error


@app.workflow("research", retry=RetryPolicy(max_attempts=3))
async def research(ctx: Context, topic: Topic) -> Report:
    # without options, keyword arguments are checked as well
    assert_type(await ctx.step(search, topic.text), list[Hit])
    assert_type(await ctx.step(search, "x", limit=4), list[Hit])
    assert_type(await ctx.step("search", search, "x", 4), list[Hit])
    assert_type(await ctx.step(read, Hit(id=1), deep=True), str)
    assert_type(await ctx.step("read", read, Hit(id=1), deep=True), str)
    assert_type(await ctx.step(count, "x"), int)
    assert_type(await ctx.step(charge, "o", amount=5), Hit)
    assert_type(await ctx.step("five", lambda: 5), int)
    assert_type(await ctx.step(partial(read, deep=True), Hit(id=1)), str)
    assert_type(ctx.step(count, "x"), asyncio.Future[int])

    # with options
    assert_type(await ctx.step(search, "x", key="k"), list[Hit])
    assert_type(await ctx.step(search, "x", 3, retry=RetryPolicy(), timeout=3), list[Hit])
    assert_type(await ctx.step("search", search, "x", key="k", compensate=undo), list[Hit])
    assert_type(await ctx.step(read, Hit(id=1), timeout=timedelta(hours=1)), str)
    assert_type(await ctx.step(charge, "o", 5, queue="gpu"), Hit)
    assert_type(await ctx.step("five", lambda: 5, key="k"), int)

    # options apart from the function's arguments
    assert_type(await ctx.options(timeout=30).step(fetch, "u", timeout=3), bytes)
    assert_type(await ctx.options(key="k").step("read", read, Hit(id=1), deep=True), str)

    # side by side
    hits = [Hit(id=1)]
    notes = await asyncio.gather(*(ctx.step(f"read-{hit.id}", read, hit) for hit in hits))
    assert_type(notes, list[str])
    number, found = await asyncio.gather(ctx.step(count, "x"), ctx.step(search, "x"))
    assert_type(number, int)
    assert_type(found, list[Hit])

    # wrong calls of steps
    await ctx.step(search)  # error
    await ctx.step(search, 5)  # error
    await ctx.step("search", search, 5)  # error
    await ctx.step(search, "x", lim=4)  # error
    await ctx.step(count, 5)  # error
    await ctx.step(charge, "o", "5")  # error
    await ctx.step(search, 5, key="k")  # error
    await ctx.step("search", search, 5, timeout=4)  # error
    await ctx.step(search, "x", compensate=undo_text)  # error
    await ctx.step(search, "x", retry=3)  # error
    await ctx.step(search, "x", timeout="5")  # error
    await ctx.step(search("x"))  # error
    await ctx.step("search")  # error
    await ctx.step("search", "x")  # error
    await ctx.options(timeout="5").step(search, "x")  # error
    await ctx.options(timeout=5).step(fetch, "u", timeout="3")  # error

    await more(ctx)
    await branches(ctx)
    if ctx.patched("again"):
        return await ctx.continue_as_new(topic)
    return await ctx.step(produce)


async def more(ctx: Context) -> None:
    # waits
    assert_type(await ctx.wait_for_signal("review", type=Decision), Decision)
    assert_type(await ctx.wait_for_signal("a", "b", type=int, timeout=3), int | None)
    assert_type(await ctx.wait_for_signal("review"), Any)
    assert_type(await ctx.ask(Decision, "Publish?"), Decision)
    assert_type(await ctx.ask(bool, "Publish?", timeout=timedelta(days=3)), bool | None)
    assert_type(await ctx.ask({"type": "string"}, "Publish?"), Any)
    assert_type(await ctx.poll(look_up, 3, every=5), Hit)
    assert_type(await ctx.poll(look_up, 3, every=5, timeout=60), Hit | None)
    assert_type(await ctx.poll("look", look_up, 3, every=5, max_errors=9), Hit)
    assert_type(await ctx.sleep(3), None)
    await ctx.wait_for_signal(5, type=int)  # error
    await ctx.ask(Decision, 5)  # error
    assert_type(await ctx.poll(look_again, 3, every=lambda number: 2.0 * number), Hit)
    await ctx.poll(look_up, 3)  # error
    await ctx.poll(look_up, "3", every=5)  # error
    await ctx.sleep("3")  # error

    # variables
    assert_type(await ctx.vars.incr("turns"), int)
    assert_type(await ctx.vars.compare_and_set("lock", None, 1), bool)
    assert_type(await ctx.vars.get("topic", type=Topic), Topic | None)
    assert_type(await ctx.vars.get("turns", 0, type=int), int)
    assert_type(await ctx.vars.get("anything"), Any)
    assert_type(await ctx.session("user-7").vars.incr("visits", 2), int)
    assert_type(await ctx.vars.typed(Topic).get(), Topic | None)
    assert_type(await ctx.vars.typed(Topic, name="t").get(Topic(text="x")), Topic)
    assert_type(await ctx.vars.typed(Topic).compare_and_set(None, Topic(text="x")), bool)
    await ctx.vars.typed(Topic).set(Hit(id=1))  # error
    await ctx.vars.incr("turns", "x")  # error

    # children
    child = await ctx.spawn(render, 1, key="k", timeout=60)
    assert_type(child, Child[str])
    assert_type(await child.result(), str)
    assert_type(await child.status(), RunState | None)
    assert_type(await (await ctx.spawn(lone)).result(), Report)
    assert_type(await (await ctx.spawn(plain, Topic(text="x"))).result(), Report)
    assert_type(await (await ctx.spawn("render", 1)).result(), Any)
    assert_type(await ctx.map(render, range(9), limit=3), list[str])
    assert_type(await ctx.map(plain, [Topic(text="x")]), list[Report])
    assert_type(await ctx.map(render, [1], join="settled"), list[str | ChildFailed])
    assert_type(await ctx.map(render, [1, 2, 3], join=2), list[tuple[int, str]])
    assert_type(await ctx.map(render, [1], join=Join.all(timeout=3)), list[str])
    assert_type(await ctx.map(render, [1], join=Join.any()), list[tuple[int, str]])
    assert_type(await ctx.map(render, [1], join=Join.partial(1)), list[str | ChildFailed])
    assert_type(await ctx.map("render", [1]), list[Any])
    await ctx.spawn(render, "1")  # error
    await ctx.spawn(render)  # error
    await ctx.spawn(search, "x")  # error
    await ctx.spawn(render, 1, timout=3)  # error
    await ctx.map(render, ["1"])  # error
    await ctx.map(render, [1], join="any")  # error
    await ctx.map(render, [1], join=Join.quorum("2"))  # error


async def branches(ctx: Context) -> None:
    assert_type(await ctx.gather(ctx.step(count, "a"), ctx.step(count, "b")), list[int])
    assert_type(await ctx.gather(lambda: ctx.step(count, "a"), limit=2), list[int])
    assert_type(await ctx.gather(ctx.step(count, "a"), join="settled"), list[int | Failed])
    slots = await ctx.gather(ctx.step(count, "a"), join=Join.settled(at_least=1, timeout=3))
    assert_type(slots, list[int | Failed])
    assert_type(await ctx.gather(ctx.step(count, "a"), join=1), list[tuple[int, int]])
    winners = await ctx.gather(ctx.step(count, "a"), join=Join.percentage(0.5))
    assert_type(winners, list[tuple[int, int]])
    async for page in ctx.pages("list", list_hits, restart_after=100):
        assert_type(page, list[Hit])
    async for page in ctx.pages(list_hits):
        assert_type(page, list[Hit])
    assert_type(await ctx.cursor("orders").get(0), Any)
    ctx.pages("list")  # error
    ctx.pages(list_hits, restart_after="3")  # error
    assert_type(await ctx.batch(count, ["a", "b"]), list[int])
    assert_type(await ctx.batch("count", count, ["a"], limit=2, retry=RetryPolicy()), list[int])
    assert_type(await ctx.batch(count, ["a"], errors="slot"), list[int | Failed])
    assert_type(await ctx.batch("read", read, [Hit(id=1)], errors="slot"), list[str | Failed])
    assert_type(await ctx.batch(search, ["a"]), list[list[Hit]])
    await ctx.batch(count, [1])  # error
    await ctx.batch(count, ["a"], errors="drop")  # error
    await ctx.batch("count", ["a"])  # error
    await ctx.gather(5)  # error
    await ctx.gather(ctx.step(count, "a"), join="any")  # error


# runners and jobs


@app.runner("triage", retry=RetryPolicy())
async def triage(step: Step[Topic]) -> Outcome:
    return Continue(step.payload.text)


@app.runner
def sort(step: Step[Topic]) -> Outcome:
    return Continue(step.payload.text)


@app.job
async def resize(path: str, size: int = 80) -> Hit:
    return Hit(id=len(path) + size)


@app.job(queue="slow", timeout=30)
def shrink(path: str) -> int:
    return len(path)


app.workflow(retry=3)  # error


# from outside


def blocking(client: Client) -> None:
    run = client.submit(research, Topic(text="x"), run_id="a", webhooks=["https://example.com"])
    assert_type(run, RunHandle[Report])
    assert_type(run.result(10), Report)
    assert_type(client.submit(plain, Topic(text="x")).result(), Report)
    assert_type(client.submit(lone, queue="slow").result(), Report)
    assert_type(client.submit("research", {"text": "x"}).result(), Any)
    assert_type(client.submit(triage, Topic(text="x")).result(), Any)
    assert_type(shrink.submit_blocking("a.png").result(), int)
    assert_type(shrink("a.png"), int)
    client.submit(research, "x")  # error
    client.submit(research)  # error
    client.submit(research, Topic(text="x"), run_ids="a")  # error
    client.submit(research, Topic(text="x"), retry=3)  # error
    client.submit(search, "x")  # error
    client.submit(triage, "x")  # error
    shrink.submit_blocking(5)  # error


async def awaiting(client: AsyncClient) -> None:
    run = await client.submit(research, Topic(text="x"), webhooks=[Webhook("https://example.com")])
    assert_type(run, AsyncRunHandle[Report])
    assert_type(await run.result(), Report)
    assert_type(await (await client.submit("research")).result(), Any)
    assert_type(await (await resize.submit("a.png", size=3)).result(), Hit)
    assert_type(await resize("a.png"), Hit)
    await client.submit(research, 5)  # error
    await resize.submit("a.png", size="3")  # error


async def in_a_test() -> None:
    async with Harness(app) as h:
        run = await h.submit(research, Topic(text="x"))
        assert_type(await h.result(run), Report)
        assert_type(await run.result(), Report)
        assert_type(await h.result("a1"), Any)
        await h.submit(research, "x")  # error


# what stands around: lifespans and middleware


@app.lifespan
async def pool() -> AsyncIterator[Topic]:
    yield Topic(text="x")


@app.lifespan
def file() -> Iterator[int]:
    yield 1


@app.lifespan
@asynccontextmanager
async def managed() -> AsyncGenerator[Hit]:
    yield Hit(id=1)


@app.middleware
async def traced(call: UserCall, call_next: CallNext) -> Any:
    assert_type(call.attempt, int)
    return await call_next()


async def no_middleware(call: UserCall) -> Any:
    return call.name


async def no_lifespan() -> int:
    return 1


def around() -> None:
    assert_type(pool.value, Topic)
    assert_type(file.value, int)
    assert_type(managed.value, Hit)
    app.middleware(no_middleware)  # error
    app.lifespan(no_lifespan)  # error


# resources, and the functions that ask for them


@app.resource
async def database() -> AsyncIterator[Topic]:
    yield Topic(text="x")


@app.resource(scope="run", start_timeout=timedelta(seconds=3))
@asynccontextmanager
async def session(db: Topic = inject(database)) -> AsyncGenerator[Hit]:
    yield Hit(id=len(db.text))


@app.resource
def disk(db: Topic = inject(database)) -> Iterator[int]:
    yield len(db.text)


@database.health
async def database_health(db: Topic) -> Health:
    return Health.degraded(db.text)


@disk.health
def disk_health(value: int) -> None:
    del value


async def no_health(value: Hit) -> str:
    return str(value)


async def bill(order: int, *, db: Topic = inject(database), hit: Hit = inject(session)) -> Hit:
    return Hit(id=order + len(db.text) + hit.id)


async def misfit(db: Hit = inject(database)) -> None:  # error
    del db


@app.job
async def pay(order: int, db: Topic = inject(database)) -> Hit:
    return Hit(id=order + len(db.text))


@app.runner("paying")
async def paying(step: Step[Topic], db: Topic = inject(database)) -> Outcome:
    return Continue(step.payload.text + db.text)


@app.on_terminal
def tell(outcome: RunOutcome, db: Topic = inject(database)) -> None:
    del outcome, db


@app.workflow
async def billing(ctx: Context, order: int) -> Hit:
    assert_type(await ctx.step(bill, order), Hit)
    assert_type(await ctx.step("bill", bill, order, key="k"), Hit)
    await ctx.step(bill)  # error
    await ctx.step(bill, "5")  # error
    return await ctx.step(bill, order)


async def with_resources() -> None:
    assert_type(database, Resource[Topic])
    assert_type(session, Resource[Hit])
    assert_type(disk, Resource[int])
    assert_type(await pay(3), Hit)
    assert_type(await pay(3, db=Topic(text="mine")), Hit)
    assert_type(await (await pay.submit(3)).result(), Hit)
    await pay.submit("3")  # error
    app.resource(no_lifespan)  # error
    app.resource(scope="step")  # error
    database.health(no_health)  # error
    async with Harness(app) as h:
        h.resource(database, Topic(text="fake"))
        h.resource(Topic, Topic(text="fake"))  # error


@app.on_terminal(events=["failed"], runner="etl")
async def alarm(outcome: RunOutcome, ctx: HookContext) -> None:
    assert_type(ctx.submit("report", outcome.result, priority=3), str)
    ctx.submit("report", webhooks=["https://example.org"])  # error


@app.on_terminal(events=["failed"])  # error
def no_hook(outcome: int, ctx: HookContext) -> None:
    del outcome, ctx


class Bill(Observer):
    def on_step_done(self, step: ObservedStep, /) -> None:
        assert_type(step.took_s, float | None)

    async def on_ended(self, run: ObservedRun, /) -> None:
        assert_type(run.error, ErrorInfo | None)


class Misled(Observer):
    def on_ended(self, step: ObservedStep, /) -> None:  # error
        del step


assert_type(app.observe(Bill()), Bill)
app.observe(Misled())


# what is read of a run


def reading(client: Client) -> None:
    timeline = client.steps("a1")
    for step in timeline:
        assert_type(step, StepStatus)
        assert_type(step.error, ErrorInfo | None)
    assert_type(client.session("user-7").vars(), dict[str, Any])
    client.list(since="yesterday")  # error


def which_step(*, required: bool) -> str:
    assert_type(current_step(), CurrentStep | None)
    assert_type(current_step(required=required), CurrentStep | None)
    assert_type(current_step(required=True), CurrentStep)
    str(current_step().idempotency_key)  # error
    return current_step(required=True).idempotency_key


def which_workflow() -> None:
    assert_type(current(), Context | SyncContext | None)
    assert_type(current(Context), Context)
    assert_type(current(SyncContext), SyncContext)
    current(int)  # error

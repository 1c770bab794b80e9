"""What you declare is checked where you declare it, and refused in words that say what to write."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from stepflow import (
    Context,
    InvalidName,
    InvalidOption,
    NameTaken,
    Outcome,
    RetryPolicy,
    RunOutcome,
    Step,
    Stepflow,
    StepRunner,
    Succeed,
    SyncContext,
    UsageError,
    Webhook,
    WebhookRefused,
)
from stepflow.testing import Harness


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


async def work(ctx: Context) -> str:
    return "done"


def plain(ctx: SyncContext) -> str:
    return "done"


class Runs(StepRunner):
    async def run_step(self, step: Step[Any]) -> Outcome:
        return Succeed(1)


def yields(ctx: Any) -> Any:
    yield ctx


async def yields_async(ctx: Any) -> Any:
    yield ctx


#: what no decorator takes, and what it says of it
NO_FUNCTIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: 5, "was given 5, which is not a function"),
    (lambda: None, "was given None, which is not a function"),
    (lambda: Runs, r"was given the class Runs; register an object: app\.register\('Runs', Runs"),
    (lambda: RetryPolicy, "was given the class RetryPolicy; put it above a def"),
    (lambda: yields, r"was given yields\(\), a generator function"),
    (lambda: yields_async, r"was given yields_async\(\), a generator function"),
    (lambda: functools.partial(yields, 1), "a generator function"),
    (lambda: work(None), r"you called work\(\); give the function itself"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("decorator", ["workflow", "runner", "job", "step", "on_terminal"])
@pytest.mark.parametrize(("make", "words"), NO_FUNCTIONS)
def test_what_is_no_function_is_refused_by_every_decorator(
    app: Stepflow, decorator: str, make: Callable[[], Any], words: str
) -> None:
    """[U6] A coroutine is closed: no warning says that it was never awaited."""
    given = make()
    declare = getattr(app, decorator)
    if given is None:
        declare = declare()
    with pytest.raises(InvalidOption, match=words):
        declare(given)


async def test_bare_decorators_take_the_name_of_the_function(app: Stepflow) -> None:
    """[U6] With and without parentheses."""

    @app.workflow
    async def research(ctx: Context) -> str:
        return "research"

    @app.workflow(version=2)
    async def other(ctx: Context) -> str:
        return "other"

    @app.runner
    async def triage(step: Step[Any]) -> Outcome:
        return Succeed("triage")

    @app.runner(retry=RetryPolicy(1))
    def sort(step: Step[Any]) -> Outcome:
        return Succeed("sort")

    @app.job
    def resize(path: str) -> str:
        return path

    @app.job()
    async def shrink(path: str) -> str:
        return path

    async with Harness(app) as h:
        names = ["research", "other", "triage", "sort"]
        assert [await h.result(await h.submit(name)) for name in names] == names
        assert await (await resize.submit("a")).result() == "a"
        assert await (await shrink.submit("b")).result() == "b"


@pytest.mark.parametrize("decorator", ["workflow", "runner", "job", "step"])
def test_a_function_without_a_name_needs_one(app: Stepflow, decorator: str) -> None:
    """[U6] Two lambdas would be one name."""
    with pytest.raises(InvalidOption, match=rf"write @app.{decorator}\(name=\.\.\.\)"):
        getattr(app, decorator)(lambda item: item)
    getattr(app, decorator)(name="fine")(lambda item: item)


@pytest.mark.parametrize("policy", [3, "3", 0, True, {"max_attempts": 3}, RetryPolicy])
def test_a_retry_that_is_no_policy_is_refused_with_what_to_write(
    app: Stepflow, policy: Any
) -> None:
    """[U6] Wherever one is declared."""
    words = r"which is not a RetryPolicy; write retry=RetryPolicy\(max_attempts=3\)"

    def step_runner(step: Step[Any]) -> Outcome:
        return Succeed()

    for declare in (
        lambda: app.workflow("w", retry=policy)(work),
        lambda: app.runner("r", retry=policy)(step_runner),
        lambda: app.register("x", Runs(), retry=policy),
        lambda: app.job(name="j", retry=policy)(len),
        lambda: app.step(name="s", retry=policy)(lambda: None),
    ):
        with pytest.raises(InvalidOption, match=words):
            declare()
    assert app.registry.runners == {}


async def no_ctx() -> None: ...


async def two_inputs(ctx: Context, one: int, two: int) -> None: ...


async def by_keyword(ctx: Context, *, item: int) -> None: ...


async def no_ctx_first(item: int, ctx: Context) -> None: ...


async def only_input(topic: str) -> None: ...


async def other_ctx(ctx: int) -> None: ...


def step_first(step: Step[Any]) -> None: ...


async def blocks(ctx: SyncContext, item: int) -> None: ...


def awaits(ctx: Context) -> None: ...


class Method:
    async def flow(self, ctx: Context, item: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_ctx, r"takes no parameter: write async def no_ctx\(ctx\) or async def no_ctx\(ctx, in"),
        (two_inputs, r"takes \(ctx, one, two\): write .* with all that it needs in the input"),
        (by_keyword, r"takes \(ctx, item\)"),
        (no_ctx_first, r"the first parameter of workflow 'w', 'item', is annotated as int and"),
        (only_input, r"the first parameter of workflow 'w', 'topic', is annotated as str and"),
        (other_ctx, r"'ctx', is annotated as int and gets the ctx; write .*\(ctx: Context\)$"),
        (step_first, r"is a Step; that is a runner: put @app.runner above step_first"),
        (blocks, "'w' is an async def, whose ctx is a Context, and annotates it as SyncContext"),
        (awaits, r"is a plain def, whose ctx is a SyncContext, .* write def awaits\(ctx: SyncCon"),
        (Method.flow, r"takes \(self, ctx, item\)"),
    ],
)
def test_a_workflow_that_could_not_be_called_is_refused(
    app: Stepflow, function: Any, words: str
) -> None:
    """[U6] Before, its runs failed one by one."""
    with pytest.raises(InvalidOption, match=words):
        app.workflow("w")(function)
    assert app.registry.runners == {}


async def takes_ctx(ctx: Context) -> Outcome: ...


async def takes_payload(item: int) -> Outcome: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (takes_ctx, "'ctx', is a Context; that is a workflow: put @app.workflow above takes_ctx"),
        (takes_payload, r"'item', is annotated as int and gets the Step, .*\(step: Step\[int\]\)"),
    ],
)
def test_a_runner_that_takes_something_else_for_its_step_is_refused(
    app: Stepflow, function: Any, words: str
) -> None:
    """[U6]"""
    with pytest.raises(InvalidOption, match=words):
        app.runner("r")(function)
    assert app.registry.runners == {}


def test_a_hook_that_takes_something_else_for_its_outcome_is_refused(app: Stepflow) -> None:
    """[U6]"""
    for function in (takes_ctx, takes_payload):
        with pytest.raises(InvalidOption, match=r"gets the RunOutcome; write def .*RunOutcome\)"):
            app.on_terminal(function)  # type: ignore[type-var]


async def test_workflows_of_every_callable_shape_are_accepted(app: Stepflow) -> None:
    """[U6] What can be called with a ctx, or with a ctx and an input, is a workflow."""

    async def with_default(ctx: Context, item: int = 7, more: str = "x") -> Any:
        return [item, more]

    async def with_star(ctx: Context, *items: int) -> Any:
        return list(items)

    async def with_options(ctx: Context, **options: int) -> Any:
        return options

    async def unannotated(ctx, item):  # type: ignore[no-untyped-def]
        return item

    @functools.wraps(work)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await work(*args, **kwargs)

    class Called:
        async def __call__(self, ctx: Context, item: int) -> int:
            return item

    class Holder:
        async def method(self, ctx: Context, item: int) -> int:
            return item

    async def more(ctx: Context, factor: int, item: int) -> int:
        return factor * item

    functions: list[tuple[Any, Any]] = [
        (with_default, [3, "x"]), (with_star, [3]), (with_options, {}), (unannotated, 3),
        (wrapper, "done"), (Called(), 3), (Holder().method, 3), (plain, "done"),
    ]  # fmt: skip
    for number, (function, _) in enumerate(functions):
        app.workflow(f"w{number}")(function)
    async with Harness(app) as h:
        found = [await h.result(await h.submit(f"w{n}", 3)) for n in range(len(functions))]
    assert found == [answer for _, answer in functions]


def test_runners_and_hooks_that_could_not_be_called_are_refused(app: Stepflow) -> None:
    """[U6]"""

    def nothing() -> Outcome:
        return Succeed()

    def two(step: Step[Any], more: int) -> Outcome:
        return Succeed()

    for function in (nothing, two):
        with pytest.raises(InvalidOption, match="runner 'r' is called with one Step, and its func"):
            app.runner("r")(function)
    with pytest.raises(InvalidOption, match="is called with one RunOutcome and, if it takes one"):
        app.on_terminal(nothing)  # type: ignore[call-overload]

    def hook(outcome: RunOutcome) -> None: ...

    app.on_terminal(hook)
    assert list(app.registry.hooks.values()) == [hook]


def test_a_name_that_is_taken_says_which_version_is_free(app: Stepflow) -> None:
    """[U6]"""
    app.workflow("w")(work)
    with pytest.raises(NameTaken, match=r"^'w' version 1 is already registered; rename it or "):
        app.workflow("w")(work)
    app.workflow("w", version=2)(work)
    with pytest.raises(NameTaken, match=r"'w' version 1 .* pass version=3$"):
        app.workflow("w")(work)
    app.register("r", Runs())
    with pytest.raises(NameTaken, match=r"^'r' is already registered; rename one of the two$"):
        app.register("r", Runs())
    with pytest.raises(NameTaken, match=r"^'r' version 1 is already registered; rename one"):
        app.workflow("r")(work)
    assert issubclass(NameTaken, InvalidName)


@pytest.mark.parametrize("value", ["5", -1, float("nan"), True, [5], None])
def test_a_time_that_is_none_is_refused(app: Stepflow, value: Any) -> None:
    """[U6] None alone means no limit."""
    makers: list[Callable[[], Any]] = [
        lambda: app.runner("r", step_timeout=value)(lambda step: Succeed()),
        lambda: app.job(name="j", timeout=value)(lambda: None),
        lambda: app.step(name="s", timeout=value)(lambda: None),
    ]
    for make in makers:
        if value is None:
            make()
            continue
        with pytest.raises(InvalidOption, match="a duration is seconds or a timedelta"):
            make()


def test_a_job_with_a_name_by_position_says_what_to_write(app: Stepflow) -> None:
    with pytest.raises(InvalidOption, match=r"write @app\.job\(name='resize'\)"):
        app.job("resize")  # type: ignore[call-overload]


async def undo() -> None: ...


def test_a_compensation_is_a_function(app: Stepflow) -> None:
    """[U6] Also of `@app.step`."""
    with pytest.raises(InvalidOption, match=r"you called undo\(\); give .* write compensate=undo"):
        app.step(compensate=undo())(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match=r"compensate of @app\.step was given 5"):
        app.step(compensate=5)(lambda: None)  # type: ignore[call-overload]


def test_webhooks_are_urls_or_webhooks_by_name_or_not(app: Stepflow) -> None:
    """[U6] A list gets the URLs as names, without what may be secret in them."""
    url = "https://example.com/hook?key=secret"
    listed = Stepflow("redis://x", webhooks=[url, Webhook("https://example.org", secret=None)])
    assert list(listed.registry.webhooks) == [
        "https://example.com/hook?key=***",
        "https://example.org",
    ]
    named = Stepflow("redis://x", webhooks={"billing": url})
    assert named.registry.webhooks == {"billing": Webhook(url)}
    refusals: list[tuple[Any, str]] = [
        ("https://example.com", r"write webhooks=\['https://example.com'\]"),
        (Webhook("https://example.com"), "webhooks is a list of Webhook objects or URLs"),
        ([5], r"5 is not a webhook; write a URL, or Webhook\(url"),
        ({"a": 5}, "5 is not a webhook"),
        (["https://a.example/?k=1", "https://a.example/?k=2"], "name them"),
        (["ftp://example.com"], "."),
    ]
    for given, words in refusals:
        with pytest.raises(UsageError, match=words):
            Stepflow("redis://x", webhooks=given)


async def test_webhooks_of_a_submit_may_be_urls(app: Stepflow) -> None:
    """[U6]"""
    app.workflow("w")(work)
    async with Harness(app) as h:
        await h.submit("w", webhooks=["https://example.com/hook", Webhook("https://example.org/")])
        assert {hook.target for hook in h.hooks} == {
            "https://example.com/hook",
            "https://example.org/",
        }
        for given in ("https://example.com", [5]):
            with pytest.raises(InvalidOption):
                await h.submit("w", webhooks=given)  # type: ignore[arg-type]
        with pytest.raises(WebhookRefused):
            await h.submit("w", webhooks=["ftp://example.com"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"retry": 3},
            r"retry of a run of 'work' is 3, .* write retry=RetryPolicy\(max_attempts=3",
        ),
        ({"timeout": "5"}, "timeout is '5'; a duration is seconds or a timedelta"),
        ({"delay": -1}, "delay is -1; a duration is seconds or a timedelta"),
        ({"version": "2"}, "whole numbers from 1"),
        ({"priority": "urgent"}, "is not high, normal or low"),
        ({"on_conflict": "ignore"}, "neither 'return' nor 'restart'"),
    ],
)
async def test_a_submit_with_an_option_that_cannot_be_writes_nothing(
    app: Stepflow, options: dict[str, Any], words: str
) -> None:
    """[U6]"""
    app.workflow(work)
    async with Harness(app) as h:
        with pytest.raises(InvalidOption, match=words):
            await h.submit("work", **options)
        assert len(await h.client.list()) == 0


class Order(BaseModel):
    number: int


def with_database(function: Any) -> Any:
    """Give a function what it takes after its first parameter; its own first two are passed on."""

    @functools.wraps(function)
    async def inside(given: Any, order: Any = None) -> Any:
        return await function(given, "db", order)

    return inside


def with_database_only(function: Any) -> Any:
    @functools.wraps(function)
    async def inside(given: Any) -> Any:
        return await function(given, "db")

    return inside


async def test_a_decorator_may_give_the_function_more_than_it_is_given(app: Stepflow) -> None:
    """[U6] What `functools.wraps` shows is what the function below takes, not what is called."""

    @app.workflow
    @with_database
    async def flow(ctx: Context, db: str, order: Order) -> list[Any]:
        return [db, type(order).__name__, order.number]

    @app.workflow
    @with_database_only
    async def bare(ctx: Context, db: str) -> str:
        return db

    @app.runner
    @with_database_only
    async def runner(step: Step[Any], db: str) -> Outcome:
        return Succeed(db)

    @app.on_terminal
    @with_database_only
    async def told(outcome: RunOutcome, db: str) -> None: ...

    @app.middleware
    @with_middle
    async def around(call: Any, call_next: Any, db: str) -> Any:
        return await call_next()

    async with Harness(app) as h:
        assert await h.result(await h.submit("flow", {"number": 3})) == ["db", "Order", 3]
        assert await h.result(await h.submit("bare")) == "db"
        assert await h.result(await h.submit("runner")) == "db"


def with_middle(function: Any) -> Any:
    @functools.wraps(function)
    async def inside(call: Any, call_next: Any) -> Any:
        return await function(call, call_next, "db")

    return inside

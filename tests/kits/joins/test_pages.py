"""[K5] Loops over pages: what is remembered, where they go on."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import Context, InvalidOption, Stepflow, Succeed, SyncContext
from stepflow.core.outcomes import ContinueAsNew, Raised
from stepflow.errors import ClaimLost
from stepflow.kits.flow.sync_context import carry_plain
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, activate, to_the_end

LAST = 9


class Source:
    """Ten pages of two items; it counts how often each is fetched."""

    def __init__(self) -> None:
        self.fetched: list[int] = []

    async def __call__(self, at: int | None) -> tuple[list[int], int | None]:
        number = at or 0
        self.fetched.append(number)
        return [2 * number, 2 * number + 1], None if number == LAST else number + 1


async def test_a_loop_gets_page_after_page() -> None:
    source = Source()

    async def workflow(ctx: Context) -> Any:
        return [item async for page in ctx.pages("list", source) for item in page]

    runtime = MemoryRuntime()
    assert await to_the_end(runtime, workflow) == Succeed(list(range(20)))
    assert source.fetched == list(range(10))
    assert len(runtime.journal) == 10, "an entry for each page and none besides"


async def test_a_crash_at_every_write_goes_on_with_the_page_that_was_not_remembered() -> None:
    async def workflow(ctx: Context) -> Any:
        found = []
        async for page in ctx.pages("list", source, cursor=6):
            found.append(await ctx.step("sum", sum, page))
        return found

    expected = Succeed([25, 29, 33, 37])
    for crash_after in range(1, 9):
        source, runtime = Source(), MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, workflow)
        runtime.crash_after = None
        assert await to_the_end(runtime, workflow) == expected
        assert source.fetched == [6, 7, 8, 9], "a remembered page is not fetched again"


async def with_restarts(runtime: MemoryRuntime, workflow: Any) -> tuple[Any, int]:
    """Activate to the end, however often the run continues as new; gives how often that was."""
    restarts = 0
    while isinstance(outcome := await activate(runtime, workflow), ContinueAsNew):
        restarts += 1
        runtime.restart(outcome)
    return outcome, restarts


async def test_a_long_loop_restarts_by_itself_and_goes_on_with_the_next_page() -> None:
    source, seen = Source(), []

    async def workflow(ctx: Context) -> Any:
        async for page in ctx.pages("list", source, restart_after=3):
            seen.append(await ctx.step("note", tuple, page))
        return "done"

    runtime = MemoryRuntime()
    assert await with_restarts(runtime, workflow) == (Succeed("done"), 3)
    assert source.fetched == list(range(10))
    assert sorted(set(seen)) == [(2 * n, 2 * n + 1) for n in range(10)]
    assert len(runtime.journal) < 10


async def test_a_crash_at_any_write_around_a_restart_fetches_no_remembered_page_again() -> None:
    async def workflow(ctx: Context) -> Any:
        async for _ in ctx.pages("list", source, restart_after=4):
            pass
        return "done"

    for crash_after in range(1, 8):
        source, runtime = Source(), MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await with_restarts(runtime, workflow)
        runtime.crash_after = None
        outcome, restarts = await with_restarts(runtime, workflow)
        assert outcome == Succeed("done")
        assert restarts <= 2
        assert source.fetched == list(range(10)), crash_after


async def test_a_new_visit_begins_without_the_old_ones_cursor() -> None:
    source = Source()

    async def workflow(ctx: Context) -> Any:
        first = [page async for page in ctx.pages("list", source, restart_after=6)]
        second = [page async for page in ctx.pages("list", source)]
        return [len(first), len(second)]

    assert await with_restarts(MemoryRuntime(), workflow) == (Succeed([4, 10]), 1)


async def test_no_restart_where_something_would_be_lost() -> None:
    """In a branch, and while steps are done that would be undone should the run fail."""
    source = Source()

    async def branch(ctx: Context) -> int:
        return len([page async for page in ctx.pages("list", source, restart_after=2)])

    async def in_branch(ctx: Context) -> Any:
        return await ctx.gather(branch(ctx), branch(ctx))

    async def with_undo(ctx: Context) -> Any:
        await ctx.step("book", int, 1, compensate=print)
        return await branch(ctx)

    assert await with_restarts(MemoryRuntime(), in_branch) == (Succeed([10, 10]), 0)
    assert await with_restarts(MemoryRuntime(), with_undo) == (Succeed(10), 0)


async def test_an_except_exception_does_not_swallow_a_restart_and_what_does_is_told() -> None:
    source, closed = Source(), []

    async def careful(ctx: Context) -> Any:
        try:
            async for _ in ctx.pages("list", source, restart_after=6):
                pass
        except Exception:  # noqa: BLE001  that is what is tried
            return "swallowed"
        finally:
            closed.append("closed")
        return "done"

    async def rude(ctx: Context) -> Any:
        try:
            async for _ in ctx.pages("list", source, restart_after=6):
                pass
        except BaseException:  # noqa: BLE001  as above
            return "swallowed"

    assert await with_restarts(MemoryRuntime(), careful) == (Succeed("done"), 1)
    assert closed == ["closed"] * 2
    outcome = await activate(MemoryRuntime(), rude)
    assert isinstance(outcome, Raised)
    assert outcome.error.type == "RestartNotReturned"


async def test_a_cursor_of_your_own_outlives_a_restart() -> None:
    async def workflow(ctx: Context) -> Any:
        cursor = ctx.cursor("orders")
        at = await cursor.get(0)
        if at < 2:
            await cursor.set(at + 1)
            return await ctx.continue_as_new()
        await cursor.clear()
        return [at, await cursor.get("none")]

    assert await with_restarts(MemoryRuntime(), workflow) == (Succeed([2, "none"]), 2)


async def test_a_plain_workflow_loops_over_pages() -> None:
    source = Source()

    def plain(ctx: SyncContext) -> Any:
        cursor = ctx.cursor("own")
        cursor.set(1)
        pages = list(ctx.pages("list", source, cursor=8, restart_after=5))
        return [pages, cursor.get()]

    async def workflow(ctx: Context) -> Any:
        return await carry_plain(plain, ctx, ctx._activation.loop)

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed([[[16, 17], [18, 19]], 1])


async def test_a_restarted_run_has_the_input_that_it_had() -> None:
    """By a worker, on a server."""
    app, inputs = Stepflow(), []

    @app.workflow("import-all")
    async def import_all(ctx: Context, tenant: str) -> int:
        inputs.append(tenant)
        count = 0
        async for page in ctx.pages("list", source, restart_after=4):
            count = await ctx.vars.incr("items", len(page))
        return count

    source = Source()
    async with Harness(app) as h:
        run = await h.submit("import-all", "acme")
        assert await h.result(run) == 20
    assert set(inputs) == {"acme"}
    assert source.fetched == list(range(10))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda ctx: ctx.pages("list"), "ctx.pages('list') was given no function"),
        (lambda ctx: ctx.pages("list", int, 5), "takes a function of the cursor alone"),
        (lambda ctx: ctx.pages("list", int, restart_after=0), "restart_after"),
        (lambda ctx: ctx.pages("list", lambda _: [1, 2, 3]), "needs (items, next cursor or None)"),
    ],
)
async def test_what_gives_no_pages_is_refused(wrong: Any, words: str) -> None:
    async def workflow(ctx: Context) -> None:
        async for _ in wrong(ctx):
            pass

    outcome = await activate(MemoryRuntime(), workflow)
    assert isinstance(outcome, Raised)
    assert outcome.error.type == InvalidOption.__name__
    assert words in outcome.error.message

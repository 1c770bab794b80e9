"""A question that its workflow withdraws leaves the list, whatever happens to its worker then."""

import asyncio

import pytest

from stepflow import Context, RetryPolicy, Succeed
from stepflow.core.ids import question_digest
from stepflow.core.outcomes import Park
from stepflow.errors import ClaimLost, RedisRefused
from tests.kits.memory import MemoryRuntime, World, activate, to_the_end
from tests.support import until


async def withdrawing(ctx: Context, world: World) -> str:
    """Ask twice, withdraw both, and sleep for long."""
    asked = [ctx.ask(bool, "Publish?"), ctx.ask(bool, "Print?")]
    await ctx.step("ready", world.act, "ready")
    for each in asked:
        each.cancel()
    await ctx.sleep(3600)
    return "slept"


class Closing(MemoryRuntime):
    """Notes each call that takes questions off the list."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: list[int] = []

    def close_questions(self, digests, mark):
        self.closed.append(len(digests))
        return super().close_questions(digests, mark)


async def test_a_run_does_not_park_before_what_it_withdrew_is_off_the_list():
    """[F11] Redis may refuse that for a while, and what comes after the claim is refused."""
    go = asyncio.Event()

    class Slow(Closing):
        def close_questions(self, digests, mark):
            async def close():
                await go.wait()
                return await Closing.close_questions(self, digests, mark)

            return asyncio.ensure_future(close())

    runtime = Slow()
    activation = asyncio.ensure_future(activate(runtime, lambda ctx: withdrawing(ctx, World())))
    await until(lambda: len(runtime.journal) == 2)
    await asyncio.sleep(0.01)
    assert not activation.done()
    assert len(runtime.asks) == 2
    go.set()
    assert isinstance(await activation, Park)
    assert not runtime.asks


@pytest.mark.parametrize("crash_after", range(1, 8))
async def test_wherever_a_worker_dies_the_next_takes_it_off(crash_after):
    """[F11] In one call, and before the run sleeps."""
    runtime, world = Closing(), World()
    runtime.crash_after = crash_after
    try:
        await activate(runtime, lambda ctx: withdrawing(ctx, world))
    except ClaimLost:
        runtime.crash_after = None
        runtime.closed.clear()
        assert isinstance(await activate(runtime, lambda ctx: withdrawing(ctx, world)), Park)
    assert not runtime.asks
    assert runtime.closed == [2]


async def test_a_replay_that_sleeps_at_once_takes_off_what_its_worker_did_not():
    """[F11] Nothing else would: it asks Redis for nothing before it parks."""
    runtime, world = Closing(), World()
    assert isinstance(await activate(runtime, lambda ctx: withdrawing(ctx, world)), Park)
    digests = [question_digest("r", 0, 0, place) for place in ("0", "1")]
    runtime.asks |= dict.fromkeys(digests, b"left by a worker that died")
    assert isinstance(await activate(runtime, lambda ctx: withdrawing(ctx, world)), Park)
    assert not runtime.asks


async def test_a_look_that_was_refused_does_not_list_it_again():
    """[F11] It is made again, behind what took the question off."""
    refused = []

    class Full(Closing):
        def settle_question(self, index, head, digest, asked, prompt, lapsed):
            if digest not in refused and len(refused) < 1:
                refused.append(digest)
                future = asyncio.get_running_loop().create_future()
                future.set_exception(RedisRefused("OOM", "give it more memory"))
                return future
            return super().settle_question(index, head, digest, asked, prompt, lapsed)

    world = World()

    async def workflow(ctx):
        one, other = (ctx.step(name, world.act, name) for name in ("one", "other"))
        await one
        asked = ctx.ask(bool, "Publish?")
        await other  # which is on its way already
        asked.cancel()
        await ctx.sleep(3600)

    runtime = Full()
    assert isinstance(await activate(runtime, workflow), Park)
    assert refused
    assert not runtime.asks


async def test_what_is_undone_asks_nobody_any_more():
    """[F11] Compensations may take long."""
    runtime, world, seen = Closing(), World(), []

    async def undo(_) -> None:
        await until(lambda: not runtime.asks)
        seen.append("undone")

    async def fail() -> None:
        await until(lambda: bool(runtime.asks))
        raise ValueError("no")

    async def workflow(ctx):
        await ctx.step("first", world.act, "first", compensate=undo)
        asked = ctx.ask(bool, "Publish?")
        await ctx.step("fails", fail, retry=RetryPolicy(max_attempts=1))
        await asked

    assert not isinstance(await to_the_end(runtime, workflow), Succeed)
    assert seen == ["undone"]

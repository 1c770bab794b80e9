"""Deleting ended runs on a real server: nothing of them is left anywhere."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from stepflow import (
    Context,
    NotDeletable,
    PermanentError,
    RunNotFound,
    Succeed,
    Webhook,
)
from stepflow.store import keys as store_keys
from stepflow.store.steering import deletion
from tests.support import dump, runs_of, until


def left_of(real: Any, run_id: str) -> list[Any]:
    """Give everything on the server that names a run, in a key or in what a key holds."""
    needle = run_id.encode()
    return [
        (key, value)
        for key, (value, _) in dump(real).items()
        if needle in key or needle in repr(value).encode()
    ]


@pytest.fixture
def busy(app: Any) -> Any:
    """An app whose workflow leaves something of every kind."""

    @app.workflow("busy-child")
    async def child(ctx: Context, number: int) -> int:
        return number

    async def work(number: int) -> int:
        return number

    @app.workflow("busy")
    async def busy(ctx: Context) -> Any:
        await ctx.vars.set("n", 1)
        await ctx.emit("some text")
        await ctx.map("busy-child", [1, 2])
        await ctx.step(work, 1, compensate=work)
        await ctx.wait_for_signal("go")
        await ctx.ask(bool, "go on?")
        raise PermanentError("no")

    @app.runner("steps")
    async def steps(step: Any) -> Any:
        step.effects.put("key", 1)
        return Succeed("done")

    @app.runner("never")
    async def never(step: Any) -> Any:
        await asyncio.Event().wait()

    return app


async def until_told(real: Any, keys: Any) -> None:
    await until(lambda: not real.zcard(keys.live_hooks))


async def test_nothing_is_left_of_a_deleted_workflow(busy, aclient, working, real, keys):
    """[O11] No key, no index entry, no hook delivered or dead, no leftover of its children."""

    @busy.on_terminal
    async def note(outcome: Any) -> None:
        if outcome.runner == "busy":
            raise ValueError

    async with working(busy, next_wait=lambda tries, chance, after: None):
        run = await aclient.submit("busy", run_id="gone", headers={"a": "b"}, timeout=1000)
        await until(lambda: _is(aclient, "gone", "waiting"))
        await aclient.signal("gone", "other", "x" * 600)
        await aclient.signal("gone", "go", 1, dedup="d")
        await until(lambda: real.zcard(keys.questions))
        [question] = await aclient.questions()
        await aclient.answer(question.token, True)
        assert (await run.wait(60)).state == "failed"
        await until_told(real, keys)
        for child in runs_of(real, "busy-child", keys):
            assert await aclient.delete(child)
        assert await aclient.delete("gone")
        assert left_of(real, "gone") == []
        assert await aclient.status("gone") is None
        assert not await aclient.delete("gone")


async def _is(client: Any, run_id: str, state: str) -> bool:
    return (await client.status(run_id)).state == state


async def test_nothing_is_left_of_a_run_that_never_ran(aclient, real):
    """[O11] Its entry in the queue goes with it, and the note for hooks that nobody announced."""
    for pauses in range(2):
        run = await aclient.submit("x", run_id="gone", on_conflict="restart", delay=pauses)
        await aclient.run_now("gone")
        for _ in range(pauses):
            await aclient.pause("gone")
            await aclient.resume("gone")
        await run.cancel()
    assert left_of(real, "gone")
    assert await aclient.delete("gone")
    assert left_of(real, "gone") == []


async def test_a_run_that_lives_is_not_deleted_unless_it_is_forced(busy, aclient, working, real):
    """[O11] Then it is cancelled first, whether it waits or runs."""
    async with working(busy):
        later = await aclient.submit("steps", run_id="later", delay=1000)
        running = await aclient.submit("never", run_id="now")
        await until(lambda: _is(aclient, "now", "running"))
        for run in (later, running):
            with pytest.raises(NotDeletable, match="cancel it first"):
                await aclient.delete(run.id)
            assert await aclient.delete(run.id, force=True)
            assert left_of(real, run.id) == []
    with pytest.raises(RunNotFound):
        await aclient.pause("now")


async def test_a_run_whose_hook_is_to_be_delivered_is_not_deleted(aclient, real, keys):
    """[O11] Nothing of it is touched then."""
    webhook = Webhook("http://127.0.0.1:9/hook")
    run = await aclient.submit("x", run_id="told", webhooks=[webhook])
    await run.cancel()
    before = dump(real)
    with pytest.raises(NotDeletable, match="told-0-1-0 is still to be delivered"):
        await aclient.delete("told")
    assert dump(real) == before
    real.hset(keys.hook("told-0-1-0"), "state", "delivered")
    assert await aclient.delete("told")
    for index in (keys.queued_at(keys.hook_queue),):
        real.delete(index)
    real.delete("rq:job:hook-told-0-1-0")


async def test_a_run_whose_children_live_is_not_deleted(busy, aclient, working, real, keys):
    """[O11]"""
    run = await aclient.submit("x", run_id="parent")
    await run.cancel()
    real.sadd(f"{keys.run('parent')}:children:0", "child")
    with pytest.raises(NotDeletable, match="children"):
        await aclient.delete("parent")
    real.delete(f"{keys.run('parent')}:children:0")
    assert await aclient.delete("parent")


async def test_a_run_beside_it_keeps_everything(busy, aclient, working, real, keys):
    """[O11] Also one whose id begins with that of the deleted one."""
    async with working(busy):
        for run_id in ("a", "a-0", "ab"):
            await (await aclient.submit("steps", run_id=run_id)).result(60)
    before = dump(real)
    assert await aclient.delete("a")
    after = dump(real)
    changed = {key for key in before if before[key] != after.get(key)}
    mine = keys.run("a").encode()
    indexes = {keys.ended_index("succeeded"), keys.runner_index("succeeded", "steps"), keys.expiry}
    assert {key for key in changed if key.startswith(b"stepflow:") and key != mine} - {
        key for key in changed if key.startswith(mine + b":")
    } <= {index.encode() for index in indexes}


def test_every_key_of_a_run_goes_with_it():
    """[O11] A key that is new in the table has to be new here, too."""
    table = set(re.findall(r"<ns>:run:<id>:(\w+)", store_keys.__doc__ or ""))
    assert table == {*deletion._PARTS, "children", "answers", "maps"}


async def test_the_same_id_is_free_again(aclient, real):
    """[O11]"""
    run = await aclient.submit("x", 1, run_id="again")
    await run.cancel()
    await aclient.delete("again")
    again = await aclient.submit("y", 2, run_id="again")
    assert again.created
    assert (await again.status()).generation == 0
    await again.cancel()

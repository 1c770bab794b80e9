"""
What cannot be read concerns its run alone, and is named: a worker on the test's loop beside damaged
records.
"""

import asyncio

import pytest

from stepflow import Context, Succeed
from stepflow.errors import UnreadableRecord
from stepflow.store.values.codec import pack
from tests.support import until

RUN = "stepflow:run:bad"


@pytest.fixture(autouse=True)
def forget(real):
    """Leave nothing behind: damaged records have no time to live."""
    yield
    real.flushall()


async def paused(aclient, run_id="bad"):
    run = await aclient.status(run_id)
    return run if run.state == "paused" else None


async def test_a_damaged_run_goes_on_once_it_is_repaired_and_resumed(app, aclient, working, real):
    """[B12]"""

    @app.runner("x")
    async def x(step):
        return Succeed(step.number)

    await aclient.submit("x", run_id="bad", timeout=1000)
    real.hset(RUN, "step", "zz")
    async with working(app):
        run = await until(lambda: paused(aclient))
        assert run.reason == (
            "unreadable: field 'step' holds b'zz'; repair it and resume the run, or cancel it"
        )
        assert run.unreadable == "field 'step' holds b'zz'"
        assert run.waits_for == "somebody to repair it: field 'step' holds b'zz'"
        with pytest.raises(
            UnreadableRecord, match="run 'bad' cannot be read: field 'step' holds b'zz'; repair it"
        ):
            await aclient.resume("bad")
        assert real.zscore("stepflow:deadlines", "bad") is None
        real.hset(RUN, "step", 0)
        await aclient.resume("bad")
        assert await aclient.result("bad", 60) == 0


@pytest.mark.parametrize("field", ["result", "error", "undo_errors", "reason", "spec", "payload"])
@pytest.mark.parametrize("held", [b"\xc1", b"\x05", b"\x93\x01\x02\x03", b""])
async def test_what_an_ended_run_keeps_is_shown_in_words_and_its_result_is_a_typed_error(
    app, aclient, working, real, field, held
):
    """[B12]"""

    @app.runner("x")
    async def x(step):
        return Succeed("fine")

    run = await aclient.submit("x", run_id="bad")
    async with working(app):
        assert await run.result(60) == "fine"
    real.hset(f"{RUN}:data", field, held)
    shown = await run.status()
    assert [status.id for status in await aclient.list()] == ["bad"]
    is_sound = shown.unreadable is None
    assert is_sound or f"field {field!r} of its data holds" in shown.unreadable
    if held == b"\xc1" and field != "reason":
        assert not is_sound
    if field != "result":
        assert await run.result(60) == "fine"
    elif not is_sound:
        with pytest.raises(
            UnreadableRecord, match=f"run 'bad' cannot be read: field '{field}' of its data"
        ):
            await run.result(60)


ENTRIES = {
    "a kind of a later version": b"dream|0|x|1.0|",
    "no entry": b"zz",
    "a time that is none": b"value|0|x|zz|\x01",
    "other bytes": b"value|\xff|x|1.0|\x01",
    "a value that is none": b"value|0|greet|1.0|\xc1",
    "an error of another shape": b"error|0|greet|1.0|\x01",
    "a due time that is none": b"try|0|greet|1.0|zz",
}


@pytest.mark.parametrize("what", [*ENTRIES, "a string"])
async def test_a_journal_that_cannot_be_read_pauses_its_run_and_never_fails_it(
    app, aclient, working, real, what
):
    """[B12]"""

    @app.workflow("flow")
    async def flow(ctx: Context) -> str:
        said = await ctx.step("greet", lambda: "hello")
        await ctx.wait_for_signal("go")
        return said

    run = await aclient.submit("flow", run_id="bad")
    good = await aclient.submit("flow", run_id="good")
    async with working(app):
        for each in (run, good):
            await until(lambda each=each: is_waiting(each))
        entries = real.lrange(f"{RUN}:journal", 0, -1)
        real.delete(f"{RUN}:journal")
        if what in ENTRIES:
            real.rpush(f"{RUN}:journal", ENTRIES[what], *entries[1:])
        else:
            real.set(f"{RUN}:journal", "x")
        for each in ("bad", "good"):
            await aclient.signal(each, "go")
        assert await good.result(60) == "hello"
        assert "unreadable: " in (await until(lambda: paused(aclient))).reason
        real.delete(f"{RUN}:journal")
        real.rpush(f"{RUN}:journal", *entries)
        await aclient.resume("bad")
        assert await run.result(60) == "hello"


async def is_waiting(run):
    return (await run.status()).state == "waiting"


async def test_a_run_is_shown_whose_journal_something_else_wrote_over(app, aclient, working, real):
    """[U9] And who wants the journal itself is told which key it is."""

    @app.workflow("waits")
    async def waits(ctx):
        await ctx.step("first", lambda: 1)
        await ctx.wait_for_signal("go")

    async with working(app):
        run = await aclient.submit("waits", run_id="a")
        await until(lambda: is_waiting(run))
    real.set("stepflow:run:a:journal", "odd")
    [broken, waiting] = (await aclient.steps("a")).steps
    assert "its journal's key holds no list: something else wrote it" in broken.name
    assert waiting.name == "go"
    assert "waits for signal 'go'" in (await aclient.why("a")).sentence
    with pytest.raises(UnreadableRecord, match="key stepflow:run:a:journal cannot be read"):
        await aclient.history("a")
    await aclient.fail("a")
    assert (await run.status()).state == "failed"


async def test_a_variable_that_is_none_pauses_the_run_that_reads_it(app, aclient, working, real):
    """[B12]"""

    @app.workflow("flow")
    async def flow(ctx: Context) -> str:
        await ctx.wait_for_signal("go")
        return await ctx.vars.get("x")

    run = await aclient.submit("flow", run_id="bad")
    async with working(app):
        await until(lambda: is_waiting(run))
        real.hset(f"{RUN}:vars", "x", "zz")
        await run._client.signal("bad", "go")
        assert "a variable holds b'zz'" in (await until(lambda: paused(aclient))).reason


@pytest.mark.parametrize(
    "garbage",
    [
        {"rev": b"zz"},
        {"target": b"\xc1"},
        {"target": b"\x05"},
        {"body": b"\xc1"},
        {"body": b"\x80"},
        {"tries": b"zz"},
        {"run": b"\xff"},
    ],
)
async def test_a_hook_delivery_that_cannot_be_read_ends_dead_with_a_reason(
    app, aclient, working, real, garbage
):
    """[B12]"""
    heard = []

    @app.on_terminal
    async def told(outcome):
        heard.append(outcome.run_id)

    @app.runner("x")
    async def x(step):
        return Succeed()

    [function] = app.registry.hooks
    real.hset("stepflow:app_hooks", "x", pack([["function", function]]))
    for run_id in ("bad", "good"):
        await aclient.submit("x", run_id=run_id)
        await aclient.cancel(run_id)
    [name] = list(real.scan_iter("stepflow:hook:bad-*"))
    real.hset(name, mapping=garbage)
    async with working(app):
        await until(lambda: "good" in heard)
        [dead] = await until(aclient.hooks)
    assert (dead.state, dead.id) == ("dead", name.decode().rpartition(":")[2])
    assert "cannot be read" in dead.problem
    assert heard == ["good"]


async def test_a_damaged_parent_does_not_keep_its_child_from_ending(app, aclient, working, real):
    """[B12] It is handed over, and its claim sees what is wrong with it."""

    @app.workflow("child")
    async def child(ctx: Context) -> str:
        await ctx.wait_for_signal("go")
        return "grown"

    @app.workflow("parent")
    async def parent(ctx: Context) -> str:
        return await (await ctx.spawn("child")).result()

    run = await aclient.submit("parent", run_id="bad")
    async with working(app):
        await until(lambda: is_waiting(run))
        [child_id] = [status.id for status in await aclient.list() if status.id != "bad"]
        await until(lambda: is_in(aclient, child_id, "waiting"))
        real.hset(RUN, mapping={"inbox": "zz", "rev": "zz"})
        await aclient.signal(child_id, "go")
        assert await aclient.result(child_id, 60) == "grown"
        await until(lambda: paused(aclient))
        real.hset(RUN, mapping={"inbox": "1", "rev": "9"})
        await aclient.resume("bad")
        assert await run.result(60) == "grown"


async def is_in(aclient, run_id, state):
    return (await aclient.status(run_id)).state == state


async def test_a_member_of_the_versions_that_is_none_keeps_nobody_from_submitting(
    app, aclient, real
):
    """[B12]"""
    real.zadd("stepflow:versions", {"x@zz": 9e9, b"\xff": 9e9, "@": 9e9})
    run = await aclient.submit("x", run_id="bad")
    assert (await run.status()).version == 1


async def test_a_client_goes_on_beside_a_message_that_says_nothing(app, aclient, working, real):
    """[B12] Whoever publishes on a worker's channel."""

    @app.runner("x")
    async def x(step):
        await step.cancel.wait()
        return Succeed()

    run = await aclient.submit("x")
    async with working(app) as worker:
        await until(lambda: is_in(aclient, run.id, "running"))
        for message in ("zz", f"{run.id}|garbage", "|", b"x"):
            real.publish(f"stepflow:tell:{worker._options.name}", message)
        await asyncio.sleep(0)
        assert await run.cancel()
        assert (await run.wait(60)).state == "cancelled"

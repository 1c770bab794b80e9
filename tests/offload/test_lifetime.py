"""A large value is there for as long as a run has it, and goes after the last of them."""

from __future__ import annotations

import os
import threading
import time

import pytest

import stepflow
from stepflow import RunState, Step, Succeed, UnreadableOffload
from stepflow.engine.doctor.model import Level
from stepflow.engine.doctor.server import look_at_server
from stepflow.errors import InvalidOption
from stepflow.store.connection.sync import carry_out
from stepflow.store.offload.sweep import Swept, sweep
from stepflow.store.offload.use import forget_store, present
from tests.offload.conftest import files_in
from tests.support import until

LARGE = os.urandom(100_000)


async def waits(run, name: str) -> bool:
    """Say whether a run waits for a signal."""
    status = await run.status()
    return status.state is RunState.WAITING and name in (status.waits_for or "")


@pytest.fixture
def swept(link_to_real, keys):
    """Sweep the store: delete what no run has and is older than *age_s* seconds."""

    def sweep_now(age_s: float = -60.0) -> Swept:
        before = time.time() - age_s
        return carry_out(link_to_real, sweep(present().store, keys, before=before))

    return sweep_now


@pytest.fixture
def values(folder):
    """Count the values in the store."""
    return lambda: len([file for file in files_in(folder) if "-" in file.name])


@pytest.fixture
def app(app):
    @app.runner("echo")
    async def echo(step: Step[bytes]):
        return Succeed(step.payload)

    @app.workflow("parent")
    async def parent(ctx: stepflow.Context, payload: bytes) -> int:
        large = await ctx.step("load", lambda: LARGE)
        child = await ctx.spawn("echo", payload)
        mapped = await ctx.map("echo", [payload])
        await ctx.wait_for_signal("go")
        found = await ctx.step("sum", lambda: len(large) + len(mapped[0]))
        await ctx.wait_for_signal("end")
        return found + len(await child.result())

    return app


async def test_what_a_run_had_goes_with_it(app, aclient, working, swept, values):
    """[S16]"""
    async with working(app):
        first, second = [await aclient.submit("echo", LARGE) for _ in range(2)]
        assert [await run.result(60) for run in (first, second)] == [LARGE, LARGE]
    assert (swept(), values()) == (Swept(0, 0), 4)
    await aclient.delete(first.id)
    assert (swept(), values()) == (Swept(2, 1), 2)
    assert await second.result() == LARGE


async def test_a_record_that_expires_takes_its_values_along(
    app, aclient, real, keys, working, swept, values
):
    """[S16]"""
    async with working(app):
        run = await aclient.submit("echo", LARGE)
        await run.result(60)
    assert real.ttl(keys.run(run.id)) > 0
    real.pexpire(keys.run(run.id), 1)
    await until(lambda: not real.exists(keys.run(run.id)))
    assert (swept(), values()) == (Swept(2, 1), 0)


@pytest.mark.parametrize("is_dead", [False, True], ids=["waiting", "given up"])
async def test_a_hook_keeps_the_result_that_it_is_to_tell(
    app, aclient, real, keys, working, swept, values, is_dead
):
    """[S16] Its receiver is away for longer than the record is kept; or people send it again."""
    told, fails = [], [True]

    @app.on_terminal
    def note(outcome) -> None:
        if fails:
            raise ConnectionError("it is away")
        told.append(outcome.result)

    wait_s = None if is_dead else 0.1
    async with working(app, next_wait=lambda *_: wait_s):
        run = await aclient.submit("echo", LARGE)
        await run.result(60)
        index = keys.dead_hooks if is_dead else keys.live_hooks
        await until(lambda: real.zcard(index))
        [hook] = map(bytes.decode, real.zrange(index, 0, -1))
        real.pexpire(keys.run(run.id), 1)
        await until(lambda: not real.exists(keys.run(run.id)))
        swept()
        fails.clear()
        if is_dead:
            await aclient.redeliver(hook)
        await until(lambda: told)
        await until(lambda: not real.zcard(keys.live_hooks))
    assert told == [LARGE]
    assert (swept(), values()) == (Swept(2, 1), 0)


async def test_a_parent_keeps_the_results_of_its_children(app, aclient, working, swept, values):
    """[S16]"""
    async with working(app):
        run = await aclient.submit("parent", LARGE)
        await until(lambda: waits(run, "go"))
        for child in (await aclient.list(parent=run.id)).runs:
            await aclient.delete(child.id)
        before = values()
        assert (swept(), values()) == (Swept(0, 0), before)
        for name in ("go", "end"):
            await aclient.signal(run.id, name)
        assert await run.result(60) == 3 * len(LARGE)
    await aclient.delete(run.id)
    swept()
    assert values() == 0


async def test_a_fork_keeps_what_it_has_of_the_run_it_was_made_from(
    app, aclient, working, swept, values
):
    """[S16]"""
    async with working(app):
        run = await aclient.submit("parent", LARGE)
        await until(lambda: waits(run, "go"))
        for name in ("go", "end"):
            await aclient.signal(run.id, name)
        await run.result(60)
        fork = await aclient.fork(run.id, "sum")
        await until(lambda: waits(fork, "end"))
        again = await aclient.fork(fork.id, "sum")
        for child in (await aclient.list(parent=run.id)).runs:
            await aclient.delete(child.id)
        await aclient.delete(run.id)
        swept()
        await aclient.cancel(fork.id)
        await fork.wait(60)
        await aclient.delete(fork.id)
        swept()
        await until(lambda: waits(again, "end"))
        await aclient.signal(again.id, "end")
        assert await again.result(60) == 3 * len(LARGE)
    await aclient.delete(again.id)
    swept()
    assert values() == 0


async def test_a_value_whose_run_is_about_to_be_submitted_stays(client, swept, values):
    """[S16]"""
    client.env.clock  # noqa: B018  an environment is made, and with it the store
    present().write(LARGE, "a payload", namespace="stepflow", run_id="soon", parent=None)
    assert (swept(60.0), values()) == (Swept(0, 0), 1)
    assert (swept(), values()) == (Swept(1, 1), 0)


async def test_a_restarted_run_has_its_new_payload(app, aclient, working, swept):
    async with working(app):
        run = await aclient.submit("echo", LARGE, run_id="a")
        await run.result(60)
        again = await aclient.submit("echo", LARGE + b".", run_id="a", on_conflict="restart")
        swept()
        assert await again.result(60) == LARGE + b"."


async def test_a_worker_sweeps(app, aclient, real, working, values, monkeypatch, keys):
    """[S16]"""
    monkeypatch.setattr("stepflow.worker.upkeep.sweeper.LOOK_S", 0.02)
    monkeypatch.setattr("stepflow.worker.upkeep.sweeper.EVERY_S", 0.02)
    async with working(app):
        run = await aclient.submit("echo", LARGE)
        assert await run.result(60) == LARGE
        # not before: a value that is new stays, for its run may be about to be submitted
        monkeypatch.setattr(
            "stepflow.worker.upkeep.sweeper.time.time", lambda: time.monotonic() + 1e10
        )
        await aclient.delete(run.id)
        await until(lambda: values() == 0)


async def test_a_store_of_another_redis_is_not_swept(client, real, swept, values):
    """[S16]"""
    client.env.clock  # noqa: B018  as above
    assert swept() == Swept(0, 0)
    present().write(LARGE, "a payload", namespace="stepflow", run_id="kept", parent=None)
    real.flushall()
    with pytest.raises(InvalidOption, match="belongs to another Redis"):
        swept()
    assert values() == 1


async def test_the_doctor_says_where_large_values_go_and_whether_they_can(
    client, link_to_real, folder, real
):
    def said():
        lines = carry_out(link_to_real, look_at_server(client.env))
        [line] = [line for line in lines if line.what == "large values"]
        return line.level, line.sentence

    assert said() == (Level.OK, f"from 65,536 bytes on they go to {folder}")
    assert [file.name for file in files_in(folder)] == ["redis"]
    folder.rename(folder.with_name("gone"))
    level, sentence = said()
    assert level is Level.BAD
    assert f"there is no folder {folder}" in sentence


async def test_a_fork_without_the_store_is_refused(app, aclient, working):
    async with working(app):
        run = await aclient.submit("parent", LARGE)
        await until(lambda: waits(run, "go"))
        forget_store()
        with pytest.raises(UnreadableOffload, match="STEPFLOW_OFFLOAD_URL"):
            await aclient.fork(run.id, "load", new_id="other")
        assert await aclient.status("other") is None


async def test_no_call_of_an_async_client_waits_for_the_store_on_its_loop(
    app, aclient, working, settings, tmp_path, monkeypatch
):
    """[S16] A restore did: whatever else the loop had to do stood still meanwhile."""
    archive = settings.archive.model_copy(update={"url": f"sqlite:///{tmp_path}/archive.db"})
    monkeypatch.setattr(aclient, "settings", settings.model_copy(update={"archive": archive}))
    async with working(app):
        run = await aclient.submit("parent", LARGE)
        echo = await aclient.submit("echo", LARGE)
        await until(lambda: waits(run, "go"))
        await echo.wait(60)
    of_loop, threads, store = threading.current_thread(), set(), present().store

    def noting(call):
        def noted(*given):
            threads.add(threading.current_thread())
            return call(*given)

        return noted

    for name in ("read", "write", "delete"):
        monkeypatch.setattr(store, name, noting(getattr(store, name)))

    async def exported(run_id):
        return [part async for part in aclient.export(run_id)]

    doings = {
        "result": lambda: aclient.result(echo.id),
        "status": lambda: aclient.status(echo.id),
        "steps": lambda: aclient.steps(run.id),
        "history": lambda: aclient.history(run.id),
        "export": lambda: exported(run.id),
        "submit": lambda: aclient.submit("echo", LARGE + b"2"),
        "fork": lambda: aclient.fork(run.id, "echo of 1"),
        "snapshot": lambda: aclient.archive.snapshot(run.id),
        "restore": lambda: aclient.archive.restore(run.id),
        "list": aclient.list,
        "why": lambda: aclient.why(run.id),
        "children": lambda: aclient.list(parent=run.id),
    }
    waited = []
    for name, do in doings.items():
        threads.clear()
        await do()
        if of_loop in threads:
            waited.append(name)
    await aclient.archive.close()
    assert waited == []

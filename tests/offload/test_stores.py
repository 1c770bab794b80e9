"""A store that is away costs time and nothing else; what it has changed is never believed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import stepflow
from stepflow import (
    Client,
    Continue,
    OffloadUnreachable,
    RunState,
    Step,
    Succeed,
    UnreadableOffload,
)
from stepflow.errors import InvalidOption
from stepflow.settings import Settings
from stepflow.store.offload.use import forget_store, use_store
from stepflow.value_settings import OffloadSettings
from tests.encryption.conftest import NEW
from tests.offload.conftest import files_in
from tests.support import until

LARGE = os.urandom(200_000)


@pytest.fixture
def away(folder):
    """Take the store away, and bring it back: its folder, as a mount that is lost."""
    gone = folder.with_name("gone")

    def take(*, back: bool = False) -> None:
        (gone if back else folder).rename(folder if back else gone)

    return take


async def test_a_value_waits_for_its_store_and_its_step_does_not_run_again(
    app, aclient, working, away, caplog
):
    """[S16]"""
    calls = []

    def load() -> bytes:
        calls.append(1)
        away()
        return LARGE

    @app.workflow("loads")
    async def loads(ctx: stepflow.Context) -> int:
        return len(await ctx.step(load))

    async with working(app):
        run = await aclient.submit("loads", run_id="a")
        await until(lambda: "the value of step 'load' of run 'a' cannot be reached" in caplog.text)
        assert str(app.settings.offload.url) in caplog.text
        away(back=True)
        assert await run.result(60) == len(LARGE)
    assert calls == [1]


async def test_a_result_waits_for_its_store(app, aclient, working, away, caplog):
    """[S16]"""
    calls = []

    @app.runner("loads")
    async def loads(step: Step):
        calls.append(1)
        away()
        return Succeed(LARGE)

    async with working(app):
        run = await aclient.submit("loads", run_id="a")
        await until(lambda: "the result of run 'a' cannot be reached" in caplog.text)
        away(back=True)
        assert await run.result(60) == LARGE
    assert calls == [1]


@pytest.mark.parametrize("kind", ["result", "payload", "value", "child"])
async def test_a_cancel_ends_a_run_whose_value_waits_for_its_store(
    app, aclient, working, away, caplog, kind
):
    """[S16] [C27]"""

    @app.runner("waits")
    async def waits(step: Step):
        away()
        return Succeed(LARGE) if kind == "result" else Continue(LARGE)

    def load() -> bytes:
        away()
        return LARGE

    @app.workflow("steps")
    async def steps(ctx: stepflow.Context) -> None:
        if kind == "child":
            away()
            await ctx.spawn("waits", LARGE)
        await ctx.step(load)

    async with working(app):
        runner = "waits" if kind in {"result", "payload"} else "steps"
        run = await aclient.submit(runner, run_id="a")
        await until(lambda: "cannot be reached" in caplog.text)
        await aclient.cancel(run.id, "enough")
        ended = await run.wait(60)
        assert (ended.state, ended.reason) == (RunState.CANCELLED, "enough")
        away(back=True)


@pytest.mark.parametrize("kind", ["runner", "workflow"])
async def test_a_run_waits_for_a_store_that_it_reads_from_and_no_attempt_counts(
    app, aclient, working, away, monkeypatch, kind
):
    """[S16]"""
    monkeypatch.setattr("stepflow.worker.runtime.offloading.LATER_S", 0.05)
    attempts = []

    if kind == "runner":

        @app.runner("reads")
        async def reads(step: Step[bytes]):
            attempts.append(step.attempt)
            return Succeed(len(step.payload))

    else:

        @app.workflow("reads")
        async def reads_too(ctx: stepflow.Context, payload: bytes) -> int:
            return await ctx.step(len, payload)

    run = await aclient.submit("reads", LARGE)
    away()
    async with working(app):

        async def waits():
            return (await run.status()).state is RunState.SCHEDULED

        await until(waits)
        assert "the store for large values at" in (await run.status()).waits_for
        away(back=True)
        assert await run.result(60) == len(LARGE)
    assert attempts == ([1] if kind == "runner" else [])


async def test_a_replay_waits_for_a_store_that_is_away(
    app, aclient, working, away, monkeypatch, caplog
):
    """[S16]"""
    monkeypatch.setattr("stepflow.worker.runtime.offloading.LATER_S", 0.05)
    calls = []

    def load() -> bytes:
        calls.append(1)
        return LARGE

    @app.workflow("waits")
    async def waits(ctx: stepflow.Context) -> int:
        large = await ctx.step(load)
        await ctx.wait_for_signal("go")
        return len(large)

    async with working(app):
        run = await aclient.submit("waits")

        async def waiting():
            return (await run.status()).state is RunState.WAITING

        await until(waiting)
        away()
        await aclient.signal(run.id, "go")
        await until(lambda: "it is delivered again" in caplog.text)
        away(back=True)
        assert await run.result(60) == len(LARGE)
    assert calls == [1]


async def test_a_parent_waits_for_a_store_that_has_the_result_of_its_child(
    app, aclient, working, away, caplog
):
    """[S16]"""

    @app.runner("child")
    async def child(step: Step):
        return Succeed(LARGE)

    @app.workflow("parent")
    async def parent(ctx: stepflow.Context) -> int:
        begun = await ctx.spawn("child")
        await ctx.wait_for_signal("go")
        return len(await begun.result()) + len((await ctx.map("child", [1]))[0])

    async with working(app):
        run = await aclient.submit("parent")

        async def ended():
            return any(each.result for each in (await aclient.list(runner="child")).runs)

        await until(ended)
        away()
        await aclient.signal(run.id, "go")
        await until(lambda: f"run={run.id} step=" in caplog.text and "cannot go on" in caplog.text)
        away(back=True)
        assert await run.result(60) == 2 * len(LARGE)


def test_a_submit_says_which_store_and_which_payload(client, away):
    """[S16]"""
    client.submit("any", "small")
    away()
    with pytest.raises(OffloadUnreachable, match="the payload of run 'b' cannot be") as caught:
        client.submit("any", LARGE, run_id="b")
    assert caught.value.retryable
    assert caught.value.store == str(client.settings.offload.url)
    assert client.status("b") is None


@pytest.mark.parametrize("damage", ["gone", "another", "cut", "too long"])
async def test_what_is_not_what_was_put_there_pauses_the_run_until_it_is_put_back(
    app, aclient, working, folder, damage
):
    """[S16]"""

    @app.runner("reads")
    async def reads(step: Step[bytes]):
        return Succeed(len(step.payload))

    run = await aclient.submit("reads", LARGE)
    await aclient.submit("reads", bytes(200_000))
    first, second = sorted(files_in(folder), key=lambda file: file.stat().st_size, reverse=True)
    whole = first.read_bytes()
    if damage == "gone":
        first.unlink()
    else:
        first.write_bytes(
            {"another": second.read_bytes(), "cut": whole[:-9], "too long": whole + b"."}[damage]
        )
    async with working(app):

        async def paused():
            return (await run.status()).state is RunState.PAUSED

        if damage == "too long":  # zstd reads one frame, and that is whole
            assert await run.result(60) == len(LARGE)
            return
        await until(paused)
        reason = (await run.status()).reason
        assert first.name in reason
        assert str(folder) in reason
        first.write_bytes(whole)
        await aclient.resume(run.id)
        assert await run.result(60) == len(LARGE)


async def test_a_replay_pauses_without_a_value_and_goes_on_when_it_is_put_back(
    app, aclient, working, folder
):
    """[S16] [F1]"""
    calls = []

    def load() -> bytes:
        calls.append(1)
        return LARGE

    @app.workflow("waits")
    async def waits(ctx: stepflow.Context) -> int:
        large = await ctx.step(load)
        await ctx.wait_for_signal("go")
        return len(large)

    async with working(app):
        run = await aclient.submit("waits")

        async def stands(state):
            return (await run.status()).state is state

        await until(lambda: stands(RunState.WAITING))
        [file] = files_in(folder)
        whole = file.read_bytes()
        file.unlink()
        await aclient.signal(run.id, "go")
        await until(lambda: stands(RunState.PAUSED))
        assert file.name in (await run.status()).reason
        file.write_bytes(whole)
        await aclient.resume(run.id)
        assert await run.result(60) == len(LARGE)
    assert calls == [1]


async def test_a_process_without_a_store_says_what_to_set(app, aclient, url, working):
    @app.runner("reads")
    async def reads(step: Step[bytes]):
        return Succeed(step.payload)

    async with working(app):
        run = await aclient.submit("reads", LARGE)
        await run.result(60)
    forget_store()
    with Client(url, settings=Settings()) as other:
        assert "200,005 bytes, offloaded" in other.status(run.id).result
        with pytest.raises(UnreadableOffload, match="STEPFLOW_OFFLOAD_URL"):
            other.result(run.id)


async def test_encrypted_values_are_encrypted_in_the_store_too(settings, url, working, folder):
    """[S16] [S17]"""
    from stepflow.store.values.keyring import forget_keys
    from stepflow.value_settings import EncryptionSettings

    with_keys = settings.model_copy(update={"encryption": EncryptionSettings(keys=NEW)})
    app, text = stepflow.Stepflow(url, settings=with_keys), "marker-77 " * 20_000

    @app.workflow("echo")
    async def echo(ctx: stepflow.Context, payload: str) -> str:
        return await ctx.step(lambda: payload)

    try:
        async with working(app):
            run = await app.async_client.submit("echo", text)
            assert await run.result(60) == text
        packed = [file.read_bytes() for file in files_in(folder)]
        # what is encrypted does not get smaller: nothing of it is left to be found
        assert [len(each) > len(text) for each in packed] == [True] * 3
    finally:
        app.client.close()
        await app.async_client.close()
        forget_keys()


def test_without_a_store_nothing_of_it_is_loaded():
    """[S16]"""
    code = "import sys, stepflow; stepflow.Stepflow('redis://localhost').async_client; "
    code += "import stepflow.worker.worker; "
    code += "print([name for name in sys.modules if 'zstandard' in name or '.offload.' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_two_stores_in_one_process_are_a_mistake(client, tmp_path):
    assert client.list().runs == []
    with pytest.raises(InvalidOption, match="offloads large values to"):
        use_store(OffloadSettings(url=str(tmp_path / "other")), 1_048_576)


@pytest.mark.parametrize("url", ["ftp://host/values", "redis://host"])
def test_a_store_of_an_unknown_kind_is_refused(url):
    forget_store()
    with pytest.raises(InvalidOption, match="no store for large values that stepflow knows"):
        use_store(OffloadSettings(url=url), 1_048_576)

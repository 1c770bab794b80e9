"""What runs are about never reaches Redis or the archive, whatever kind of run it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import redis

import stepflow
from stepflow import Continue, PermanentError, RetryPolicy, Step, Stepflow, Succeed
from tests.encryption.conftest import NEW, with_keys
from tests.support import until

MARK = "marker-5c1f7e"


@contextmanager
def watched(real: redis.Redis) -> Iterator[list[str]]:
    """Give every command that the server gets, as it will have seen them by the end."""
    seen: list[str] = []
    with real.monitor() as monitor:
        listening = threading.Thread(target=_listen, args=(monitor, seen))
        listening.start()
        try:
            yield seen
        finally:
            real.echo("all was seen")
            listening.join(60)


def _listen(monitor, seen: list[str]) -> None:
    for command in monitor.listen():
        seen.append(command["command"])
        if "all was seen" in command["command"]:
            return


def around(command: str) -> str:
    at = command.index(MARK)
    return f"{command[:120]} … {command[max(0, at - 200) : at + 40]}"


@pytest.fixture
def app(url, settings, tmp_path):
    archive = f"sqlite:///{tmp_path}/archive.db"
    app = Stepflow(url, settings=with_keys(settings, NEW), archive=archive)

    @app.runner("chain", retry=RetryPolicy(max_attempts=2, initial=0.01))
    async def chain(step: Step):
        stepflow.emit(f"{MARK} emitted")
        if step.number == 0:
            await step.memo.put("seen", f"{MARK} memo")
            step.effects.put("kept", f"{MARK} effect")
            return Continue(f"{MARK} carried")
        if step.payload == f"{MARK} carried":
            assert await step.memo.get("seen") is None
            return Continue("fail")
        raise PermanentError(f"{MARK} raised")

    @app.runner("echo")
    async def echo(step: Step):
        return Succeed({MARK: step.payload})

    @app.workflow("talks")
    async def talks(ctx: stepflow.Context, payload: str):
        await ctx.vars.set("word", f"{MARK} set")
        assert await ctx.vars.compare_and_set("word", f"{MARK} set", f"{MARK} swapped")
        await ctx.session("anna").vars.set("word", f"{MARK} of a session")
        word = await ctx.step(asyncio.sleep, 0, f"{MARK} value", cache=timedelta(hours=1))
        said = await ctx.wait_for_signal("go")
        agreed = await ctx.ask(str, f"{MARK} prompt")
        child = await ctx.spawn("echo", f"{MARK} for a child")
        await child.result()
        every = await ctx.map("echo", [f"{MARK} mapped"])
        return [payload, word, said, agreed, every, await ctx.vars.get("word")]

    @app.on_terminal
    def note(outcome) -> None:
        assert outcome.run_id

    yield app
    app.client.archive.close()
    app.client.close()


@pytest.mark.crash
async def test_nothing_that_a_run_is_about_reaches_redis_or_the_archive(
    app, real, working, tmp_path
):
    """[S17]"""
    client = app.async_client
    with watched(real) as seen:
        async with working(app):
            await client.submit("chain", f"{MARK} in", run_id="chain-1")
            run = await client.submit("talks", f"{MARK} in", run_id="talks-1")
            await client.signal("talks-1", "go", f"{MARK} said")

            async def asked():
                return list(await client.questions())

            await until(asked)
            [question] = await client.questions()
            await client.answer(question.token, f"{MARK} agreed")
            result = await run.result(60)
            group = {"a": stepflow.RunSpec("echo", f"{MARK} of a group")}
            await client.groups.submit("group-1", group)
            await client.schedules.put(
                "daily", "echo", cron="0 3 * * *", payload=f"{MARK} scheduled"
            )

            async def archived():
                page = await client.archive.list()
                return {"chain-1", "talks-1"} <= {each.id for each in page.runs}

            await until(archived)
    assert question.prompt == f"{MARK} prompt"
    assert result[:4] == [f"{MARK} in", f"{MARK} value", f"{MARK} said", f"{MARK} agreed"]
    assert (await client.status("chain-1")).error.message == f"{MARK} raised"
    kept = await client.archive.get("chain-1")
    assert (kept.payload, kept.error.message) == ("fail", f"{MARK} raised")
    assert [around(command) for command in seen if MARK in command] == []
    assert any("chain-1" in command for command in seen)
    files = list(tmp_path.glob("archive.db*"))
    assert files
    assert [file for file in files if MARK.encode() in file.read_bytes()] == []

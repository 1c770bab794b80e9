"""[K22] What a finished run keeps, by runner and by end, whoever ends it."""

import pytest

from stepflow import (
    Client,
    Context,
    Fail,
    NotRetryable,
    RetryPolicy,
    Step,
    Stepflow,
    Succeed,
    emit,
)
from stepflow.core.run import RunState
from stepflow.settings import ResultSettings, RetentionSettings, Settings
from stepflow.store.connection.sync import carry_out
from stepflow.store.runs import load_run

RETENTION = RetentionSettings(
    keep="failed",
    runners={"all": ResultSettings(keep="all"), "result": ResultSettings(keep="result")},
)
#: what a run has beside its record, its input and its result
REST = {"steps", "journal", "kv", "memo", "vars", "out"}


@pytest.mark.parametrize(
    ("runner", "end", "keeps"),
    [
        ("other", "succeeded", False), ("other", "failed", True), ("other", "cancelled", False),
        ("all", "succeeded", True), ("result", "succeeded", False), ("result", "failed", False),
    ],
)  # fmt: skip
def test_it_is_chosen_by_runner_and_by_end(runner, end, keeps):
    assert RETENTION.keeps_all(runner, end) is keeps
    assert RetentionSettings().keeps_all(runner, end)


@pytest.fixture
def keeping(url):
    """An app whose runs keep all where they fail, or where their runner says so."""
    app = Stepflow(url, settings=Settings(retention=RETENTION))

    async def work(step: Step[str]):
        step.effects.put("seen", 1)
        await step.memo.put("tried", 1)
        await emit("half way")
        return Fail("as asked") if step.payload == "fail" else Succeed("done")

    for name in ("other", "all", "result"):
        app.runner(name, retry=RetryPolicy(max_attempts=1))(work)

    async def double(number: int) -> int:
        return 2 * number

    @app.workflow("flow")
    async def flow(ctx: Context, number: int) -> int:
        await ctx.vars.set("n", number)
        return await ctx.step(double, number)

    return app


def parts(real, run_id):
    """Name the keys that a run has beside its record and its data."""
    start = f"stepflow:run:{run_id}:"
    return {key.decode().removeprefix(start) for key in real.scan_iter(f"{start}*")} - {"data"}


async def test_what_is_not_to_be_kept_goes_with_the_end(keeping, real, working):
    client = keeping.async_client
    async with working(keeping):
        for runner in ("other", "all", "result"):
            for payload in ("fail", "succeed"):
                run = await client.submit(runner, payload, run_id=f"{runner}-{payload}")
                await run.wait(60)
        assert await (await client.submit("flow", 21, run_id="flow")).result(60) == 42
    whole = {"steps", "kv", "memo", "out"}
    for run_id in ("all-fail", "all-succeed", "other-fail"):
        assert parts(real, run_id) == whole
    for run_id in ("other-succeed", "result-fail", "result-succeed", "flow"):
        assert parts(real, run_id) == {"steps"}
        assert real.hlen(f"stepflow:run:{run_id}:steps") == 1
        assert 0 < real.ttl(f"stepflow:run:{run_id}:steps") <= real.ttl(f"stepflow:run:{run_id}")
    assert (await client.status("result-fail")).error.message == "as asked"
    assert (await client.status("other-succeed")).result == "done"
    assert (await client.status("flow")).result == 42
    assert [step.name for step in (await client.steps("flow")).steps] == ["step 0"]
    assert [each async for each in client.events("result-succeed", live=False)]
    assert await client.vars("flow") == {}
    await client.close()


async def test_what_kept_nothing_cannot_go_on(keeping, working):
    async with working(keeping):
        for runner in ("other", "result"):
            await (await keeping.async_client.submit(runner, "fail", run_id=runner)).wait(60)
    with pytest.raises(NotRetryable, match="only its input and its error were kept"):
        keeping.client.retry("result")
    keeping.client.retry("other")
    keeping.client.fail("other")
    again = keeping.client.submit("result", "fail", run_id="result", on_conflict="restart")
    run = carry_out(keeping.client.connection, _load(again.id, keeping))
    assert not run.is_cleared
    keeping.client.cancel("result")


async def _load(run_id, app):
    return await load_run(app.client.env.keys, run_id)


def test_a_run_that_a_client_ends_keeps_as_little(keeping, url, real):
    with Client(url, settings=keeping.settings) as client:
        client.submit("result", "x", run_id="cancelled")
        client.signal("cancelled", "news", 1)
        assert parts(real, "cancelled") == {"mail", "sent"}
        client.cancel("cancelled")
        assert parts(real, "cancelled") == set()
        assert client.status("cancelled").state is RunState.CANCELLED
        run = carry_out(client.connection, _load("cancelled", keeping))
        assert run.is_cleared

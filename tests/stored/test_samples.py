"""[B13] What an earlier version left in Redis goes on under today's: its data outlive a deploy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepflow import AsyncClient
from stepflow.store.connection.server_check import FORMAT
from tests.stored.app import ODD, make_app
from tests.stored.database import put_back
from tests.support import until

HERE = Path(__file__).parent
#: the formats that this version reads; a later number is added to it, an earlier one taken off only
#: by a decision that the changelog tells
READ = [2]

STATES = {
    "succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled", "between": "scheduled",
    "delayed": "scheduled", "signal": "waiting", "sleep": "waiting", "question": "waiting",
    "child": "waiting", "map": "waiting", "unroutable": "pending", "pending": "pending",
}  # fmt: skip


def test_there_is_a_sample_of_each_format_that_is_read():
    assert FORMAT in READ
    assert sorted(HERE.glob("format_*.json")) == [HERE / f"format_{number}.json" for number in READ]
    for path in HERE.glob("format_*.json"):
        assert len(json.loads(path.read_text())) > 50


@pytest.fixture(params=READ)
def left(request: pytest.FixtureRequest, real: Any, url: str) -> str:
    """The URL of a server that holds what a version of that format left."""
    put_back(real, HERE / f"format_{request.param}.json")
    return url


async def test_every_run_is_read_as_it_stands(left, real):
    app = make_app(left)
    async with AsyncClient(left, settings=app.settings) as client:
        found = {run_id: await client.status(run_id) for run_id in STATES}
        assert {run_id: status.state for run_id, status in found.items()} == STATES
        assert await client.result("succeeded", timeout=60) == ODD
        assert found["pending"].headers == {"by": "hand"}
        assert (await client.status("delayed")).deadline_at is not None
        [question] = await client.questions()
        assert (question.run_id, question.prompt) == ("question", "May it?")
        assert "first" in json.dumps(await client.history("signal"), default=str)
        for run_id in STATES:
            fields = {
                name for part in [each async for each in client.export(run_id)] for name in part
            }
            assert fields >= {"run", "journal", "record", "vars", "mailbox", "hooks"}
    real.flushall()


CODES = {
    "succeeded": "ended.succeeded", "failed": "ended.failed", "cancelled": "ended.cancelled",
    "between": "scheduled.delay", "delayed": "scheduled.delay", "signal": "waiting.signal",
    "sleep": "waiting.time", "question": "waiting.ask", "child": "waiting.child",
    "map": "waiting.map", "unroutable": "blocked.runner", "pending": "queued.no_worker",
}  # fmt: skip


async def test_why_explains_every_run(left, real):
    """What a run waits for stands in words there: nothing more was kept of it [O1]."""
    async with AsyncClient(left) as client:
        whys = {run_id: await client.why(run_id) for run_id in STATES}
    found = {run_id: why.code for run_id, why in whys.items()}
    told = {"ended.telling", "ended.untold"}  # of those that have ended a hook stands there
    assert {run_id: code for run_id, code in found.items() if code not in told} == {
        run_id: code for run_id, code in CODES.items() if found[run_id] not in told
    }
    assert {
        why.word for run_id, why in whys.items() if STATES[run_id] in {"succeeded", "failed"}
    } == {"ended"}
    real.flushall()


async def test_every_run_goes_on_to_its_end(left, working, real):
    app = make_app(left)
    async with AsyncClient(left, settings=app.settings) as client, working(app):
        await client.signal("signal", "go", 1)
        [question] = await client.questions()
        await client.answer(question.token, True)
        waits = {"signal": [ODD, 1], "question": True}
        for run_id, result in waits.items():
            assert await client.result(run_id, timeout=60) == result
        await client.retry("failed")
        assert (await client.wait("failed", timeout=60)).state == "failed"
        for run_id in ("between", "delayed", "sleep", "unroutable"):
            assert await client.cancel(run_id)
        await until(lambda: both_ended(client))
        assert await client.result("child", timeout=60) == [ODD, "x"]
        assert await client.result("map", timeout=60) == [[ODD, "x"]] * 2
        assert (await client.wait("pending", timeout=60)).state == "succeeded"
        await until(lambda: not real.zcard("stepflow:claims"))
    real.flushall()


async def both_ended(client: AsyncClient) -> bool:
    """Send each child that waits its signal; True when both parents have ended."""
    for run in (await client.list(limit=1000)).runs:
        if run.state == "waiting" and run.id not in STATES:
            await client.signal(run.id, "go", "x", dedup="once")
    ends = [await client.status(run_id) for run_id in ("child", "map")]
    return all(status is not None and status.is_finished for status in ends)


RUNNERS = {"chain": 6, "talks": 8, "nowhere": 1}


async def test_lists_hold_what_stands_there_and_what_a_worker_has_moved(left, working, real):
    """[O29] That version had other indexes: they are read until a worker has moved all of them."""
    app = make_app(left)
    states = {"succeeded", "failed", "cancelled"}

    async def check(client: AsyncClient) -> None:
        runs = await client.list()
        assert set(STATES) <= {run.id for run in runs}
        assert len(runs) == len(set(runs_by(runs))) == sum(RUNNERS.values())
        for runner, count in RUNNERS.items():
            assert len(await client.list(runner=runner)) == count
        for state in states:
            assert runs_by(await client.list(state=state)) == [state]
            assert runs_by(await client.list(state=state, runner="chain")) == [state]
        assert "signal" in runs_by(await client.list(state="waiting", runner="talks"))

    async with AsyncClient(left, settings=app.settings) as client:
        await check(client)
        async with working(app, queues=["elsewhere"]):
            old = ["idx:succeeded", "idx:failed", "idx:cancelled", "idx:runner:chain", "expiry"]
            await until(lambda: not real.exists(*(f"stepflow:{name}" for name in old)))
            await until(lambda: real.zcard("stepflow:idx:live:nowhere"))
        await check(client)
    real.flushall()


def runs_by(page: Any) -> list[str]:
    """Give the ids of a page."""
    return [run.id for run in page]

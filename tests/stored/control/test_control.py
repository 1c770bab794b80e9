"""[B13] Groups, limits, lanes, breakers and the rest, as they were left, go on under today's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepflow import AsyncClient, StepKind
from stepflow.core.graphs import Graph
from stepflow.store.connection.server_check import FORMAT
from stepflow.web.pages.graph.draw import draw
from stepflow.web.pages.graph.marks import marks_of
from stepflow.web.reads import graph_of, trace_of
from tests.stored.control.app import COMPUTED, make_app
from tests.stored.database import put_back
from tests.support import until

HERE = Path(__file__).parent

CODES = {
    "group--wait": "waiting.signal", "slot-0": "waiting.signal", "slot-1": "held.slot",
    "guarded": "held.breaker", "machine": "waiting.ask", "timer": "waiting.time",
    "timeout": "waiting.any", "once": "waiting.signal", "p7": "queued.no_worker",
}  # fmt: skip


def test_there_is_a_sample_of_the_format():
    assert [path.name for path in HERE.glob("format_*.json")] == [f"format_{FORMAT}.json"]
    assert len(json.loads((HERE / f"format_{FORMAT}.json").read_text())) > 100


@pytest.fixture
def left(real: Any, url: str) -> str:
    """The URL of a server that holds the sample."""
    put_back(real, HERE / f"format_{FORMAT}.json")
    return url


async def test_all_is_read_as_it_stands(left, real):
    """[B13]"""
    app = make_app(left)
    async with AsyncClient(left, settings=app.settings) as client:
        found = {run_id: (await client.why(run_id)).code for run_id in CODES}
        assert found == CODES
        group = await client.groups.status("group")
        assert (group.state, group.total, group.failed, group.live) == ("running", 3, 1, 2)
        limit, of_acme = (
            await client.limits.get("slot[ann/eu]"),
            await client.limits.get("slot[acme]"),
        )
        assert ([each.run_id for each in limit.holders], limit.next) == (["slot-0"], ["slot-1"])
        assert (of_acme.concurrency, of_acme.scope) == (2, "run")
        breaker = await client.breakers.get("ledger")
        assert (breaker.state, breaker.note, breaker.waiting) == ("open", "audit", 1)
        assert await client.shared.names() == ["look"]
        lanes = {lane.lane: lane.weight for lane in await client.lanes("fair")}
        assert lanes == {"acme": 1.0, "globex": 3.0}
        yearly, far = [await client.schedules.get(each) for each in ("yearly", "far")]
        assert (yearly.state, yearly.note) == ("paused", "audit")
        assert far.next_at is not None
        trace = await trace_of(client, "machine")
        graph = await graph_of(client, trace.run)
        assert isinstance(graph, Graph)
        assert marks_of(graph, trace).nodes["review"] == "now"
        assert draw(graph, marks_of(graph, trace)) is not None
        entered = [step.name for step in trace.steps if step.kind is StepKind.STATE]
        assert entered == ["check", "review"]
    real.flushall()


async def test_all_goes_on_to_its_end(left, working, real):
    """[B13] A shared value is not computed again, a singleton is the same run, lanes take turns."""
    app = make_app(left)
    queues = ["default", "fair", "levels"]
    async with AsyncClient(left, settings=app.settings) as client, working(app, queues=queues):
        same = await client.submit("waits", "again", singleton="one")
        assert same.id == "once"
        assert await (await client.submit("shared", "second")).result(timeout=60) == COMPUTED
        for run_id in ("group--wait", "group--late", "slot-0", "timeout", "once"):
            await client.signal(run_id, "go", 7)
        await until(lambda: waits(client, "slot-1"))
        await client.signal("slot-1", "go", 7)
        await client.breakers.close("ledger")
        [question] = await client.questions()
        await client.answer(question.token, True)
        ends = {
            "slot-0": 7, "slot-1": 7, "timeout": 7, "once": 7, "guarded": "x", "p7": 7, "p0": 0,
            "machine": {"state": "paid", "data": {"amount": 500, "checked": 1}},
            "acme-1": 1, "globex-1": 1,
        }  # fmt: skip
        for run_id, result in ends.items():
            assert await client.result(run_id, timeout=60) == result, run_id
        assert await client.cancel("timer")
        group = await client.groups.wait("group", timeout=60)
        assert (group.state, group.succeeded, group.failed) == ("failed", 2, 1)
        await client.schedules.resume("yearly")
        await (await client.submit("claims", {"amount": 5, "checked": 0})).result(timeout=60)
        await until(lambda: not real.zcard("stepflow:claims"))
    real.flushall()


async def waits(client: AsyncClient, run_id: str) -> bool:
    """Whether a run waits for a signal."""
    return (await client.status(run_id)).state == "waiting"

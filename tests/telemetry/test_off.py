"""Without telemetry nothing of it is there [E17]."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stepflow import RunSpec, Stepflow, Succeed
from stepflow.engine.spec import pack_options, read_options
from stepflow.store.values.codec import pack
from stepflow.telemetry.tracing import OpenTelemetry

_WORKER = """
import asyncio, sys
sys.modules["opentelemetry"] = None  # redis-py looks whether it is there
import stepflow.entry
from stepflow import Stepflow, Succeed
from stepflow.testing import Harness

app = Stepflow(webhooks=["https://example.com/hook"])

@app.workflow
async def flow(ctx):
    child = await ctx.spawn("leaf")
    return await child.result()

@app.runner("leaf")
async def leaf(step):
    return Succeed(1)

async def main():
    async with Harness(app) as h:
        assert await h.result(await h.submit("flow")) == 1
        assert len(h.hooks) == 2

asyncio.run(main())
print([name for name in sys.modules if name.startswith("stepflow.telemetry")])
"""
_CLIENT = """
import sys
from stepflow import Client
with Client(sys.argv[1]) as client:
    client.submit("nothing", run_id="r1")
    client.cancel("r1")
print([name for name in sys.modules if name.startswith(("opentelemetry", "stepflow.telemetry"))])
"""


def test_a_client_without_telemetry_imports_nothing_of_it(url):
    """[E17]"""
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, url], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.crash
def test_a_worker_without_telemetry_works_where_the_library_cannot_be_imported():
    """[E17] With a child and hooks."""
    done = subprocess.run(
        [sys.executable, "-c", _WORKER], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_machine_without_the_library_is_told_what_to_install():
    """[E17]"""
    program = "import sys; sys.modules['opentelemetry'] = None; import stepflow.telemetry"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'stepflow-rq[otel]'" in done.stderr


async def test_runs_that_were_traced_run_on_workers_without_telemetry(
    url, settings, working, spans
):
    """[E17] A deploy may turn it on and off while runs are in progress."""
    traced = Stepflow(
        url, settings=settings, telemetry=OpenTelemetry(tracer_provider=spans.provider)
    )
    app = Stepflow(url, settings=settings)
    seen = []

    @app.runner("look")
    async def look(step):
        seen.append(dict(step.headers))
        return Succeed()

    async with working(app):
        run = await traced.async_client.submit("look", headers={"user": "u1"})
        await run.wait(60)
    assert seen == [{"user": "u1"}]
    assert len(spans.all()) == 1


def test_what_is_kept_of_a_trace_is_reserved_headers_beside_the_users_own():
    """[E17] So data of the version before are read as they were, and it reads ours."""
    trace = {"traceparent": "00-1-2-01", "tracestate": "a=b"}
    packed = pack_options(RunSpec("r", headers={"user": "u1"}, trace=trace), 1000)
    assert packed == pack(
        {
            "headers": {
                "user": "u1",
                "workflow.traceparent": "00-1-2-01",
                "workflow.tracestate": "a=b",
            }
        }
    )
    options = read_options(packed)
    assert (options.headers, options.trace) == ({"user": "u1"}, trace)
    before = read_options(pack({"headers": {"user": "u1"}}))
    assert (before.headers, before.trace) == ({"user": "u1"}, {})


@pytest.mark.parametrize("parent", ["", "no trace", "00-0-0-01", "00-" + "é" * 32 + "-x-01"])
async def test_a_header_that_is_no_trace_begins_a_new_one(app, working, spans, parent):
    """[E17] Whatever somebody wrote into it."""

    @app.runner("look")
    async def look(step):
        return Succeed()

    untraced = Stepflow(app.url, settings=app.settings)
    async with working(app):
        run = await untraced.async_client.submit("look", headers={"traceparent": parent})
        assert (await run.wait(60)).state == "succeeded"
    assert spans.one("process look").parent is None

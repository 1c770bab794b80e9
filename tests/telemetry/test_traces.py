"""Traces: what a run does is one trace, from its submit to its hooks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from stepflow import (
    Continue,
    Fail,
    RetryPolicy,
    RunFailed,
    RunSpec,
    Stepflow,
    Succeed,
    UnsupportedValue,
    Webhook,
)
from stepflow.telemetry import OpenTelemetry
from stepflow.testing import Harness
from tests.hooks.receiver import Receiver
from tests.support import until
from tests.telemetry.conftest import below, roots
from tests.telemetry.otlp import OtlpFile, spans_in

QUICK = RetryPolicy(max_attempts=3, initial=0.01)


def set_up_order(app: Stepflow) -> None:
    """Three steps, the second of which is tried twice, a child with a step, and a hook."""
    tries = []

    async def charge(n: int) -> int:
        tries.append(n)
        if len(tries) == 1:
            raise ConnectionError("the bank is busy")
        return n

    def pack(n: int) -> int:
        return n

    @app.workflow
    async def label(ctx) -> str:
        return await ctx.step("print", str, 7)

    @app.workflow(retry=QUICK)
    async def order(ctx) -> str:
        await ctx.step("reserve", pack, 1)
        await ctx.step(charge, 2)
        await ctx.step(pack, 3)
        child = await ctx.spawn(label)
        return await child.result()

    @app.on_terminal
    def tell(outcome) -> None:
        pass


async def test_submit_steps_a_retry_a_child_and_hooks_are_one_trace(
    app, aclient, working, spans, tmp_path
):
    """[E17] [E18] In memory and as OTLP in a file; the webhook's receiver can go on with it."""
    file = tmp_path / "traces.json"
    spans.provider.add_span_processor(SimpleSpanProcessor(OtlpFile(file)))
    set_up_order(app)
    async with Receiver() as receiver, working(app):
        with spans.provider.get_tracer("web").start_as_current_span("POST /orders") as request:
            run = await aclient.submit("order", webhooks=[Webhook(receiver.url)])
        assert await run.result(60) == "7"
        [received] = await receiver.arrived(1)
        await until(lambda: len(spans.named("hook 127.0.0.1")) == 1)
        await until(lambda: len([one for one in spans.all() if one.name.startswith("hook")]) == 3)
    made = spans.all()
    assert roots(made) == ["POST /orders"]
    assert {one.context.trace_id for one in made} == {request.get_span_context().trace_id}
    names = sorted(one.name for one in made if one.name.startswith("step"))
    assert names == ["step charge", "step charge", "step pack", "step print", "step reserve"]
    sent, parent_sent = spans.named("send default")[::-1]
    assert below(parent_sent, spans.one("POST /orders"))
    assert all(below(one, parent_sent) for one in spans.named("process order"))
    assert any(below(sent, one) for one in spans.named("process order"))
    assert below(spans.one("process label"), sent)
    hook = spans.one("hook 127.0.0.1")
    assert below(hook, parent_sent)
    assert received.headers["traceparent"].split("-")[2] == f"{hook.context.span_id:016x}"
    assert hook.attributes["http.response.status_code"] == 200
    check_file(file, len(made))


def check_file(file: Path, count: int) -> None:
    """All spans are in the file, and hang together."""
    kept = list(spans_in(file))
    ids = {span["spanId"] for span in kept}
    assert len(kept) == count
    assert [span["name"] for span in kept if span.get("parentSpanId") not in ids] == [
        "POST /orders"
    ]
    assert len({span["traceId"] for span in kept}) == 1


async def test_spans_say_what_the_conventions_for_messaging_want(app, aclient, working, spans):
    """[E17] With the real times of the attempt."""

    @app.runner("chain", retry=QUICK)
    async def chain(step):
        if step.number == 1 and step.attempt == 1:
            raise TimeoutError("once")
        return Succeed() if step.number else Continue(1)

    before = time.time_ns()
    async with working(app, queues=["fast"]) as worker:
        run = await aclient.submit("chain", 1, queue="fast", run_id="r1")
        await run.wait(60)
    send, first, failed, last = spans.all()
    assert send.name == "send fast"
    assert send.kind is SpanKind.PRODUCER
    assert dict(send.attributes) == {
        "messaging.system": "stepflow",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": "fast",
        "messaging.message.conversation_id": "r1",
        "stepflow.run": "r1",
        "stepflow.runner": "chain",
    }
    assert first.kind is SpanKind.CONSUMER
    said = dict(first.attributes)
    assert said == {
        "messaging.message.id": "run-r1-0",
        "messaging.system": "stepflow",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "fast",
        "messaging.message.conversation_id": "r1",
        "stepflow.run": "r1",
        "stepflow.runner": "chain",
        "stepflow.step": "0",
        "stepflow.attempt": 1,
        "stepflow.worker": worker.worker_state.name,
        "stepflow.outcome": "continue",
    }
    assert before < send.start_time < send.end_time
    assert send.start_time < first.start_time < first.end_time < failed.end_time < last.start_time
    assert [one.attributes["stepflow.attempt"] for one in (failed, last)] == [1, 2]
    assert [one.attributes["stepflow.outcome"] for one in (failed, last)] == ["raised", "succeed"]


async def test_what_fails_says_how(app, aclient, working, spans):
    """[E17] `error.type`, an exception event and the status; a Fail is no exception."""

    @app.runner("gives_up")
    async def gives_up(step):
        return Fail("no stock")

    def divide() -> float:
        return 1 / 0

    @app.workflow(retry=RetryPolicy(max_attempts=1))
    async def flow(ctx) -> None:
        await ctx.step(divide)

    async with working(app):
        await (await aclient.submit("gives_up")).wait(60)
        with pytest.raises(RunFailed):
            await (await aclient.submit("flow")).result(60)
    given_up = spans.one("process gives_up")
    assert (given_up.status.status_code, given_up.status.description) == (
        StatusCode.ERROR, "no stock",
    )  # fmt: skip
    assert (given_up.attributes["error.type"], given_up.events) == ("Fail", ())
    step = spans.one("step divide")
    assert step.attributes["error.type"] == "ZeroDivisionError"
    [event] = step.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ZeroDivisionError"
    assert "in divide" in event.attributes["exception.stacktrace"]
    failed = spans.one("process flow")
    assert failed.attributes["error.type"] == "StepFailed"


async def test_a_step_whose_time_is_up_is_a_failed_span(app, aclient, working, spans):
    """[E17]"""

    @app.workflow(retry=RetryPolicy(max_attempts=1))
    async def flow(ctx) -> None:
        await ctx.step("slow", asyncio.Event().wait, timeout=0.01)

    async with working(app):
        with pytest.raises(RunFailed, match="TimeoutError"):
            await (await aclient.submit("flow")).result(60)
    slow = spans.one("step slow")
    assert (slow.attributes["error.type"], slow.events) == ("CancelledError", ())
    assert "its time was up" in slow.status.description


async def test_user_code_is_in_its_span_on_the_loop_and_in_threads(app, aclient, working, spans):
    """[E17] What your libraries trace hangs below the step or the attempt that called them."""
    tracer = spans.provider.get_tracer("library")

    def in_a_thread() -> None:
        tracer.start_span("query").end()

    async def on_the_loop() -> None:
        await asyncio.sleep(0)
        tracer.start_span("GET").end()

    @app.workflow
    async def flow(ctx) -> None:
        await asyncio.gather(ctx.step(in_a_thread), ctx.step(on_the_loop))

    @app.runner("plain")
    def plain(step):
        tracer.start_span("insert").end()
        return Succeed()

    @app.on_terminal
    def tell(outcome) -> None:
        tracer.start_span(f"notify {outcome.runner}").end()

    async with working(app):
        await (await aclient.submit("flow")).result(60)
        await (await aclient.submit("plain")).result(60)
        await until(lambda: len(spans.named("notify plain") + spans.named("notify flow")) == 2)
        await until(lambda: len([one for one in spans.all() if one.name.startswith("hook")]) == 2)
    assert below(spans.one("query"), spans.one("step in_a_thread"))
    assert below(spans.one("GET"), spans.one("step on_the_loop"))
    assert below(spans.one("insert"), spans.one("process plain"))
    hooks = [one for one in spans.all() if one.name.startswith("hook")]
    assert any(below(spans.one("notify plain"), hook) for hook in hooks)


async def test_a_workflow_that_goes_on_after_days_stays_in_its_trace_and_replays_no_span(spans):
    """[E17] [E18] The trace is kept with the run."""
    app = Stepflow(telemetry=OpenTelemetry(tracer_provider=spans.provider))

    @app.workflow
    async def flow(ctx) -> None:
        await ctx.step("first", int, 1)
        await ctx.sleep(3 * 24 * 3600)
        await ctx.step("second", int, 2)

    async with Harness(app) as h:
        run = await h.submit("flow")
        await h.advance(3 * 24 * 3600)
        await h.result(run)
    assert roots(spans.all()) == ["send default"]
    before, after = spans.named("process flow")
    assert below(spans.one("step first"), before)
    assert below(spans.one("step second"), after)


async def test_with_links_each_attempt_begins_a_trace_of_its_own(url, settings, working, spans):
    """[E17]"""
    telemetry = OpenTelemetry(links=True, tracer_provider=spans.provider)
    app = Stepflow(url, settings=settings, telemetry=telemetry)

    @app.workflow
    async def flow(ctx) -> None:
        await ctx.step("first", int, 1)

    async with working(app):
        await (await app.async_client.submit("flow")).result(60)
    send, process, step = spans.all()
    assert process.parent is None
    assert [link.context.span_id for link in process.links] == [send.context.span_id]
    assert below(step, process)


async def test_headers_of_a_trace_are_not_for_user_code(app, aclient, working, spans):
    """[E17] They are kept with the run's own headers and taken out where those are read."""
    seen = []

    @app.runner("look")
    async def look(step):
        seen.append(dict(step.headers))
        return Succeed()

    @app.on_terminal
    def tell(outcome) -> None:
        seen.append(dict(outcome.headers))

    async with working(app):
        run = await aclient.submit("look", headers={"user": "u1"})
        await run.wait(60)
        await until(lambda: len(seen) == 2)
        found = await run.status()
    assert seen == [{"user": "u1"}] * 2
    assert found.headers == {"user": "u1"}


async def test_a_run_that_brings_its_trace_in_its_own_headers_continues_that(
    url, settings, app, working, spans
):
    """[E17] Runs of other languages, and those that were submitted before telemetry was on."""
    untraced = Stepflow(url, settings=settings)

    @app.runner("look")
    async def look(step):
        return Succeed()

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with working(app):
        run = await untraced.async_client.submit("look", headers={"traceparent": parent})
        await run.wait(60)
    process = spans.one("process look")
    assert f"{process.context.trace_id:032x}" == parent.split("-")[1]
    assert f"{process.parent.span_id:016x}" == parent.split("-")[2]


async def test_many_runs_are_submitted_in_one_span(app, aclient, working, spans):
    """[E17] So are the children of a map."""

    @app.workflow
    async def leaf(ctx, n: int) -> int:
        return n

    @app.workflow
    async def tree(ctx) -> int:
        return sum(await ctx.map(leaf, range(5)))

    async with working(app):
        handles = await aclient.submit_many([RunSpec("leaf", 1), RunSpec("tree", queue="default")])
        for handle in handles:
            await handle.result(60)
    submit, of_map = spans.named("send default")
    assert submit.attributes["messaging.batch.message_count"] == 2
    assert of_map.attributes["messaging.batch.message_count"] == 5
    assert len([one for one in spans.named("process leaf") if below(one, of_map)]) == 5
    assert roots(spans.all()) == ["send default"]


async def test_the_blocking_client_is_traced_in_threads_of_steps_too(app, working, spans):
    """[E17] A step that submits carries its trace on."""

    @app.runner("other")
    async def other(step):
        return Succeed()

    def begin() -> None:
        app.client.submit("other").wait(60)

    @app.workflow
    async def flow(ctx) -> None:
        await ctx.step(begin)

    async with working(app):
        await (await app.async_client.submit("flow")).result(60)
    submitted = spans.named("send default")[1]
    assert below(submitted, spans.one("step begin"))
    assert below(spans.one("process other"), submitted)


async def test_a_submit_that_is_refused_is_a_failed_span(app, aclient, spans):
    """[E17]"""
    with pytest.raises(UnsupportedValue):
        await aclient.submit("none", object())
    [send] = spans.all()
    assert send.status.status_code is StatusCode.ERROR
    assert send.attributes["error.type"] == "UnsupportedValue"
    assert not trace.get_current_span().get_span_context().is_valid

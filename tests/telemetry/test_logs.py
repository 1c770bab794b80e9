"""Log lines name the trace that they belong to [E22]."""

from __future__ import annotations

import json
import logging

import pytest

from stepflow import StepFilter, Stepflow, Succeed
from stepflow.cli.worker.json_lines import JsonLines
from stepflow.telemetry import OpenTelemetry
from stepflow.testing import Harness


@pytest.fixture
def lines():
    """The lines that the logger `mine` writes as JSON."""
    written = []

    class Written(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(json.loads(self.format(record)))

    handler = Written()
    handler.setFormatter(JsonLines("w"))
    handler.addFilter(StepFilter())
    logger = logging.getLogger("mine")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


async def test_a_line_logged_in_a_span_has_its_trace_and_span(spans, lines):
    """[E22] Those of your own loggers, in threads too; outside of a span there is neither."""
    app = Stepflow(telemetry=OpenTelemetry(tracer_provider=spans.provider))

    def plain() -> None:
        logging.getLogger("mine").warning("in a step")

    @app.workflow
    async def flow(ctx) -> None:
        await ctx.step(plain)

    async with Harness(app) as h:
        await h.result(await h.submit("flow"))
    logging.getLogger("mine").warning("outside")
    inside, outside = lines
    step = spans.one("step plain")
    assert inside["trace_id"] == f"{step.context.trace_id:032x}"
    assert inside["span_id"] == f"{step.context.span_id:016x}"
    assert inside["step"] == "plain"
    assert not {"trace_id", "span_id"} & set(outside)


async def test_a_runner_past_the_limit_logs_the_trace_all_the_same(spans, lines):
    """[E22] [E17]"""
    app = Stepflow(telemetry=OpenTelemetry(tracer_provider=spans.provider, most_spans=1))

    @app.runner("chain")
    async def chain(step):
        logging.getLogger("mine").warning("step %s", step.number)
        return Succeed()

    @app.workflow
    async def flow(ctx) -> None:
        child = await ctx.spawn("chain")
        await child.result()

    async with Harness(app) as h:
        await h.result(await h.submit("flow"))
    [line] = lines
    assert line["trace_id"] == f"{spans.one('send default').context.trace_id:032x}"

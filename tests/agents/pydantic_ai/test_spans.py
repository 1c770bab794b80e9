"""Spans and metrics of an agent that is replayed: each once."""

from __future__ import annotations

from collections import Counter

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import durable_exec
from pydantic_ai.models.instrumented import InstrumentationSettings

from stepflow import Context, Succeed, current
from stepflow.core.outcomes import Yield
from tests.agents.pydantic_ai.shop import ROUNDS, TOOLS, UNITS, Shop
from tests.kits.memory import MemoryRuntime, to_the_end

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(
        not hasattr(durable_exec, "replay_scope"), reason="pydantic-ai has it since 2.68"
    ),
]


class Watched:
    """A shop whose spans and metrics are kept."""

    def __init__(self, *, without_tools: bool = False) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        traces = TracerProvider()
        traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.shop = Shop(has_tools=False) if without_tools else Shop()
        self.shop.agent.instrument = InstrumentationSettings(
            tracer_provider=traces, meter_provider=MeterProvider([self.reader])
        )

    def spans(self) -> Counter[str]:
        return Counter(
            str((span.attributes or {}).get("gen_ai.operation.name", span.name))
            for span in self.exporter.get_finished_spans()
        )

    def requests_counted(self) -> int:
        """Say of how many requests tokens were counted, by the input tokens."""
        found = self.reader.get_metrics_data()
        assert found is not None
        return sum(
            point.count
            for resource in found.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
            if metric.name == "gen_ai.client.token.usage"
            and (point.attributes or {}).get("gen_ai.token.type") == "input"
        )


@pytest.mark.parametrize("slices", ["one activation for each step", "one for all"])
async def test_a_unit_has_one_span_and_the_run_one_over_all_its_activations(slices: str) -> None:
    """[A6] However often the run is put aside, and in the middle of whatever."""
    watched, runtime = Watched(), MemoryRuntime()
    if slices != "one for all":
        runtime.slice_s, runtime.runs_in_hand = 0.0, 0

    async def workflow(ctx: Context) -> str:
        output = (await watched.shop.agent.run("what is there?")).output
        for _ in range(3):
            await ctx.sleep(60)
        return output

    activations = 1
    while (ended := await to_the_end(runtime, workflow)) == Yield(needs_cleanup=False):
        activations += 1
    assert ended == Succeed("done")
    assert activations > (0 if runtime.slice_s else UNITS / TOOLS)
    assert watched.spans() == {
        "invoke_agent": 1, "chat": ROUNDS + 1, "execute_tool": ROUNDS * TOOLS,
    }  # fmt: skip
    assert watched.requests_counted() == ROUNDS + 1


async def test_a_run_that_is_parked_ten_times_within_has_one_span() -> None:
    """[A6] A tool that waits in the workflow, between two requests of the model."""
    watched, runtime = Watched(without_tools=True), MemoryRuntime()
    agent = watched.shop.agent

    @agent.tool_plain(metadata={"stepflow": False})
    async def look(shelf: int) -> str:
        ctx = current()
        assert isinstance(ctx, Context)
        for _ in range(5):
            await ctx.sleep(60)
        return f"saw {shelf}"

    async def workflow(ctx: Context) -> str:
        return (await agent.run("what is there?")).output

    assert await to_the_end(runtime, workflow) == Succeed("done")
    assert watched.spans()["invoke_agent"] == 1
    assert watched.spans()["chat"] == ROUNDS + 1
    assert watched.requests_counted() == ROUNDS + 1

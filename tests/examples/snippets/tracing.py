"""What the reader of docs/how-to/tracing.md has at hand, and what becomes of it [E17]."""

from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stepflow import Client, Context, Stepflow  # noqa: F401  the page's
from stepflow.telemetry import OpenTelemetry
from stepflow.testing import Harness


async def ask_model(topic: str) -> str:
    return topic.upper()


async def check(harness: Harness, space: dict[str, Any]) -> None:
    """The page's app has the global provider, which makes no spans here; another one does."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = Stepflow(telemetry=OpenTelemetry(tracer_provider=provider))
    app.workflow(agent=True)(space["research"])
    async with Harness(app) as h:
        assert await h.result(await h.submit("research", "tides")) == "TIDES"
    names = [span.name for span in exporter.get_finished_spans()]
    assert "invoke_workflow research" in names

"""An app and a client that are traced, and the spans that they have made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stepflow import AsyncClient, Stepflow
from stepflow.settings import Settings
from stepflow.telemetry import OpenTelemetry


class Spans:
    """The spans that have ended, and the provider that leads them here."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def all(self) -> tuple[ReadableSpan, ...]:
        """Give all that have ended, in the order in which they began."""
        return tuple(sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time))

    def named(self, name: str) -> list[ReadableSpan]:
        """Give those of one name."""
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """Give the only one of its name."""
        [span] = self.named(name)
        return span


def below(span: ReadableSpan, other: ReadableSpan) -> bool:
    """Say whether *span* is a child of *other*."""
    return span.parent is not None and span.parent.span_id == other.context.span_id


def roots(spans: Iterable[ReadableSpan]) -> list[str]:
    """Name the spans whose parent is not among them: one, when all are connected."""
    spans = list(spans)
    ids = {span.context.span_id for span in spans}
    return [span.name for span in spans if span.parent is None or span.parent.span_id not in ids]


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    yield spans
    spans.provider.shutdown()


@pytest.fixture
def telemetry(spans: Spans) -> OpenTelemetry:
    return OpenTelemetry(tracer_provider=spans.provider)


@pytest.fixture
def app(url: str, settings: Settings, telemetry: OpenTelemetry) -> Iterator[Stepflow]:
    """An app that is traced."""
    app = Stepflow(url, settings=settings, telemetry=telemetry)
    yield app
    if app._client is not None:
        app._client.close()


@pytest.fixture
async def aclient(
    url: str, settings: Settings, telemetry: OpenTelemetry
) -> AsyncIterator[AsyncClient]:
    """A client without the app, that is traced."""
    async with AsyncClient(url, settings=settings, telemetry=telemetry) as client:
        yield client

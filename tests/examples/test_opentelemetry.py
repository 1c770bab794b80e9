"""The example for OpenTelemetry, with a tracer that notes its spans [U15]."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from stepflow.testing import Harness

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Tracer(trace.NoOpTracer):
    """Notes each span: its name, the trace it is in, its attributes, what was raised in it."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, Any, Any]] = []

    @contextmanager
    def start_as_current_span(
        self, name: str, context: Any = None, attributes: Any = None, **options: Any
    ) -> Iterator[Any]:
        inside = trace.get_current_span(context).get_span_context()
        raised = None
        try:
            yield trace.INVALID_SPAN
        except BaseException as error:
            raised = type(error).__name__
            raise
        finally:
            self.spans.append((name, f"{inside.trace_id:032x}", attributes, raised))


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    tracer = Tracer()
    monkeypatch.setattr(trace, "get_tracer", lambda name: tracer)
    return tracer


async def test_a_step_is_a_span_in_the_trace_of_who_submitted(tracer: Tracer) -> None:
    """[U15] With its run and attempt."""
    example = import_module("examples.12_opentelemetry")
    context = TraceContextTextMapPropagator().extract({"traceparent": PARENT})
    async with Harness(example.app) as h:
        token = trace.context_api.attach(context)
        headers = example.trace_headers()
        trace.context_api.detach(token)
        assert headers == {"traceparent": PARENT}
        run = await h.submit("greeting", "world", run_id="r1", headers=headers)
        assert await h.result(run) == "hello, world"
    assert tracer.spans == [
        (
            "step greet",
            PARENT.split("-")[1],
            {"stepflow.run": "r1", "stepflow.attempt": 1},
            None,
        )
    ]

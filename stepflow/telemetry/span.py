"""A span as the places that make one use it: begun and ended by `with`, or left out."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from time import time_ns
from types import TracebackType
from typing import Self

from opentelemetry import context as otel_context
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from stepflow.core.outcomes import ErrorInfo
from stepflow.engine.user_code.calls import error_info
from stepflow.telemetry.attributes import ERROR_TYPE, SPAN_LIMIT, Attributes

_W3C = TraceContextTextMapPropagator()
#: the exception itself does not say why
_CANCELLED = "cancelled: its time was up, its worker leaves, or nobody waits for it any more"


def context_of(trace: Mapping[str, str]) -> otel_context.Context:
    """Give the context that *trace* describes; one without a span for an empty *trace*."""
    return _W3C.extract(trace, otel_context.Context())


class TracedCall:
    """
    Something that is traced while a `with` block lasts; code in the block is in its span.

    One that is not *in_full* has no span of its own, unless it fails: then there is one, with the
    times of the whole. Its code is in the span of *parent* meanwhile. An exception that leaves the
    block makes it failed.
    """

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        kind: SpanKind,
        parent: otel_context.Context,
        attributes: Attributes,
        *,
        links: Sequence[Link] = (),
        in_full: bool = True,
        limit: int = 0,
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._kind = kind
        self._parent = parent
        self._links = links
        self._attributes = dict(attributes)
        if limit:
            self._attributes[SPAN_LIMIT] = limit
        self._begun_at = time_ns()
        self._span = self._start() if in_full else None
        #: what is called meanwhile hangs below this
        self.context = parent if self._span is None else set_span_in_context(self._span, parent)

    def __enter__(self) -> Self:
        self._token = otel_context.attach(self.context)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        otel_context.detach(self._token)
        if isinstance(error, CancelledError):
            self.failed("CancelledError", _CANCELLED)
        elif error is not None:
            self.raised(error_info(error))
        if self._span is not None:
            self._span.end()

    def headers(self) -> dict[str, str]:
        """Give what tells another process where this stands, as W3C headers."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, self.context)
        return carrier

    def note(self, name: str, value: str | int) -> None:
        """Add an attribute."""
        self._attributes[name] = value
        if self._span is not None:
            self._span.set_attribute(name, value)

    def raised(self, error: ErrorInfo) -> None:
        """Note that it failed by an exception."""
        span = self.failed(error.type, error.message)
        span.add_event(
            "exception",
            {
                "exception.type": error.type,
                "exception.message": error.message,
                "exception.stacktrace": error.traceback,
            },
        )

    def failed(self, kind: str, message: str) -> Span:
        """Note that it failed; *kind* is one of few words."""
        if self._span is None:
            self._span = self._start()
        self._span.set_attribute(ERROR_TYPE, kind)
        self._span.set_status(Status(StatusCode.ERROR, message))
        return self._span

    def _start(self) -> Span:
        return self._tracer.start_span(
            self._name,
            self._parent,
            self._kind,
            self._attributes,
            self._links,
            start_time=self._begun_at,
        )

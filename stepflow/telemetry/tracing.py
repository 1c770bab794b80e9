"""`OpenTelemetry`: the telemetry that makes spans of what stepflow does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.trace import (
    Link,
    SpanKind,
    TracerProvider,
    get_current_span,
    get_tracer,
)

from stepflow.core.outcomes import CleanedUp, Fail, Outcome, Raised
from stepflow.core.verdict import Verdict, VerdictKind
from stepflow.engine.events.telemetry import AttemptFacts, HookFacts
from stepflow.engine.spec import RunSpec
from stepflow.engine.user_code.middleware import CallNext, UserCall
from stepflow.errors import InvalidOption
from stepflow.logs import add_source
from stepflow.telemetry import attributes, gen_ai
from stepflow.telemetry.budget import SpanBudget
from stepflow.telemetry.span import TracedCall, context_of

#: spans that a run may have
MOST_SPANS = 1000


@dataclass(frozen=True, slots=True)
class _Present:
    """The attempt that the present code belongs to."""

    facts: AttemptFacts
    budget: SpanBudget


_present: ContextVar[_Present | None] = ContextVar("stepflow_traced_attempt", default=None)


class OpenTelemetry:
    """
    Traces an app or a client with OpenTelemetry: `Stepflow(telemetry=OpenTelemetry())`.

    A submit is a span `send <queue>`, and each attempt on a worker one `process <runner>` below it,
    though days may lie between them; attempts of `ctx.step` are spans `step <name>`, and hooks
    `hook <name>`. Your code runs inside these spans. With *links* each attempt begins a trace of
    its own, linked to the submit. Spans go to *tracer_provider*, by default the global one. A run
    has at most *most_spans*, then only what fails gets one.
    """

    def __init__(
        self,
        *,
        links: bool = False,
        tracer_provider: TracerProvider | None = None,
        most_spans: int = MOST_SPANS,
    ) -> None:
        if most_spans < 1:
            msg = f"most_spans of OpenTelemetry is {most_spans}; it must be 1 or more"
            raise InvalidOption(msg)
        self._links = links
        self._most_spans = most_spans
        self._tracer = get_tracer("stepflow", tracer_provider=tracer_provider)
        add_source(present_ids)

    @contextmanager
    def trace_submit(self, specs: Sequence[RunSpec]) -> Iterator[_Sending]:
        """Trace a submit of *specs*: they are one span, whose trace each of them continues."""
        said = attributes.of_submit(specs)
        queue = said.get("messaging.destination.name")
        name = "send" if queue is None else f"send {queue}"
        with self._call(name, SpanKind.PRODUCER, otel_context.get_current(), said) as traced:
            yield _Sending(specs, traced)

    @contextmanager
    def trace_attempt(self, facts: AttemptFacts) -> Iterator[_Attempt]:
        """Trace an attempt of a step; an agent's is a span `invoke_workflow` within."""
        run = facts.run
        _present.set(_Present(facts, SpanBudget.of_run(run, self._most_spans)))
        parent = context_of(facts.trace)
        name, said = f"process {run.runner}", attributes.of_attempt(facts)
        try:
            with self._call(name, SpanKind.CONSUMER, parent, said, apart=self._links) as traced:
                attempt = _Attempt([traced])
                if not facts.is_agent:
                    yield attempt
                    return
                name, said = f"{gen_ai.INVOKE_WORKFLOW} {run.runner}", gen_ai.invocation(run)
                with self._call(name, SpanKind.INTERNAL, traced.context, said) as inner:
                    attempt.calls.append(inner)
                    yield attempt
        finally:
            _present.set(None)

    def note_history(self, entries: int) -> None:
        """Count what the workflow of the present attempt has behind it."""
        present = _present.get()
        if present is not None:
            present.budget.note(entries)

    async def around_step(self, call: UserCall, call_next: CallNext) -> Any:
        """Trace an attempt of a `ctx.step`; other calls are attempts, or hooks, themselves."""
        present = _present.get()
        if present is None or not present.facts.is_workflow:
            return await call_next()
        said = attributes.of_step(call, present.facts.worker)
        current = otel_context.get_current()
        with self._call(f"step {call.name}", SpanKind.INTERNAL, current, said):
            return await call_next()

    @contextmanager
    def trace_hook(self, facts: HookFacts) -> Iterator[_Delivery]:
        """Trace a try to deliver a hook."""
        kind = SpanKind.CLIENT if facts.is_webhook else SpanKind.INTERNAL
        name, said = f"hook {facts.target}", attributes.of_hook(facts)
        with self._call(name, kind, context_of(facts.trace), said, apart=self._links) as traced:
            yield _Delivery(traced)

    def _call(
        self,
        name: str,
        kind: SpanKind,
        parent: otel_context.Context,
        said: attributes.Attributes,
        *,
        apart: bool = False,
    ) -> TracedCall:
        """Make a span below *parent*, or *apart* from it with a link; or none, past the limit."""
        present = _present.get()
        in_full, limit = (True, 0) if present is None else present.budget.take()
        links = []
        submit = get_current_span(parent).get_span_context()
        if apart and in_full and submit.is_valid:
            links, parent = [Link(submit)], otel_context.Context()
        return TracedCall(
            self._tracer, name, kind, parent, said, links=links, in_full=in_full, limit=limit
        )


class _Sending:
    """Runs that are being submitted, and their span."""

    def __init__(self, specs: Sequence[RunSpec], traced: TracedCall) -> None:
        trace = traced.headers()
        self.specs: Sequence[RunSpec] = [replace(spec, trace=trace) for spec in specs]
        self._traced = traced

    def note_ids(self, run_ids: Iterable[str]) -> None:
        """Say in the span which run it is, where it is one."""
        ids = list(run_ids)
        if len(ids) == 1:
            self._traced.note(attributes.CONVERSATION, ids[0])
            self._traced.note(attributes.RUN, ids[0])


class _Attempt:
    """The spans of an attempt."""

    def __init__(self, calls: list[TracedCall]) -> None:
        self.calls = calls

    def note_outcome(self, outcome: Outcome | None) -> None:
        """Say in the spans what the attempt came to."""
        for call in self.calls:
            call.note(attributes.OUTCOME, "lost" if outcome is None else outcome.word)
            match outcome:
                case Raised(error) | CleanedUp(error) if error is not None:
                    call.raised(error)
                case Fail(reason):
                    call.failed("Fail", reason)
                case None:
                    call.failed("ClaimLost", "another worker has claimed the step meanwhile")


class _Delivery:
    """The span of a try to deliver a hook."""

    def __init__(self, traced: TracedCall) -> None:
        self.trace = traced.headers()
        self._traced = traced

    def note_verdict(self, verdict: Verdict) -> None:
        """Say in the span what the try came to."""
        self._traced.note(attributes.OUTCOME, verdict.kind.value)
        if verdict.status is not None:
            self._traced.note("http.response.status_code", verdict.status)
        if verdict.kind in (VerdictKind.RETRY, VerdictKind.DEAD):
            kind = "NotDelivered" if verdict.status is None else str(verdict.status)
            self._traced.failed(kind, verdict.why)


def present_ids() -> dict[str, str]:
    """Give the ids of the present trace and span, for logs; none outside of a span."""
    here = get_current_span().get_span_context()
    if not here.is_valid:
        return {}
    return {"trace_id": f"{here.trace_id:032x}", "span_id": f"{here.span_id:016x}"}

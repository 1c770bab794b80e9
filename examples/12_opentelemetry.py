"""
OpenTelemetry: a submit, the attempts of its steps and its hooks as spans of one trace.

    pip install 'stepflow-rq[otel]'
    python examples/12_opentelemetry.py

The web application that submits and the workers each make a `TracerProvider` of their own; here it
prints each span as a line. The worker's spans are in the trace of the request all the same: the run
carries it.
"""

import subprocess
import sys

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from stepflow import Context, RetryPolicy, Stepflow
from stepflow.telemetry import OpenTelemetry


def line(span: ReadableSpan) -> str:
    failed = "" if span.status.is_ok else f" failed: {span.status.description}"
    return f"{span.name}{failed}\n"


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
app = Stepflow(telemetry=OpenTelemetry(tracer_provider=provider))

attempts: list[str] = []


async def greet(name: str) -> str:
    attempts.append(name)
    if len(attempts) < 2:
        raise ConnectionError("nobody is listening yet")
    return f"hello, {name}"


@app.workflow("greeting", retry=RetryPolicy(initial=0.1))
async def greeting(ctx: Context, name: str) -> str:
    return await ctx.step("greet", greet, name)


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.12_opentelemetry:app"]
    worker = subprocess.Popen(command)
    try:
        with provider.get_tracer("web").start_as_current_span("POST /greetings"):
            run = app.client.submit(greeting, "world")
        print(run.result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()

"""
OpenTelemetry: a span for each attempt of a step, runner, job and hook, in the caller's trace.

    pip install opentelemetry-api
    python examples/12_opentelemetry.py

Whoever submits passes its trace on in the run's headers; middleware takes it up on the worker. The
spans go where your `TracerProvider` sends them: set one up at the top of your module.
"""

import subprocess
import sys
from typing import Any

from stepflow import CallNext, Context, Stepflow, UserCall

try:
    from opentelemetry import propagate, trace
except ImportError:
    sys.exit("this example needs opentelemetry: pip install opentelemetry-api")

app = Stepflow()


@app.middleware
async def traced(call: UserCall, call_next: CallNext) -> Any:
    parent = propagate.extract(call.headers)
    facts: dict[str, str | int] = {"stepflow.run": call.run_id, "stepflow.attempt": call.attempt}
    with trace.get_tracer("stepflow").start_as_current_span(
        f"{call.kind} {call.name}", parent, attributes=facts
    ):
        return await call_next()  # an exception is recorded in the span, and passes through


@app.workflow("greeting")
async def greeting(ctx: Context, name: str) -> str:
    return await ctx.step("greet", str.format, "hello, {}", name)


def trace_headers() -> dict[str, str]:
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.12_opentelemetry:app"]
    worker = subprocess.Popen(command)
    try:
        run = app.client.submit(greeting, "world", headers=trace_headers())
        print(run.result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()

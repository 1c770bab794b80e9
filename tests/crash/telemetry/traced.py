"""An app that is traced into a file, and stays in its second step until its worker has died."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from stepflow import Context, Continue, Outcome, RetryPolicy, Step, Stepflow, Succeed
from stepflow.telemetry import OpenTelemetry
from tests.telemetry.otlp import OtlpFile

WITNESS = Path(os.environ["CRASH_WITNESS"])

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OtlpFile(WITNESS.with_name("traces.json"))))
app = Stepflow(telemetry=OpenTelemetry(tracer_provider=provider))


async def stay_once(run_id: str) -> None:
    """Stay until the process dies; the next time, return."""
    with WITNESS.open("r+") as file:
        was_here = run_id in file.read().split()
        file.write(f"{run_id}\n")
    if not was_here:
        await asyncio.Event().wait()


@app.workflow("flow", retry=RetryPolicy(max_attempts=1))
async def flow(ctx: Context) -> None:
    """Two steps."""
    await ctx.step("first", int, 1)
    await ctx.step("second", stay_once, ctx.run_id)


@app.runner("chain")
async def chain(step: Step[None]) -> Outcome:
    """Two steps."""
    if step.number == 0:
        return Continue()
    await stay_once(step.run_id)
    return Succeed()

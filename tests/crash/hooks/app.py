"""An app whose hook begins another run under an id that nobody can guess, and notes it."""

from __future__ import annotations

import uuid
from typing import Any

from stepflow import HookContext, RunOutcome, Step, Stepflow, Succeed

app = Stepflow()


@app.runner("first")
async def first(step: Step[int]) -> Any:
    return Succeed(step.payload)


@app.runner("second")
async def second(step: Step[int]) -> Any:
    return Succeed(step.payload)


@app.on_terminal(events=["succeeded"], runner=first)
async def go_on(outcome: RunOutcome, ctx: HookContext) -> None:
    ctx.kv.put("next", ctx.submit("second", outcome.result, run_id=f"next-{uuid.uuid4()}"))

"""An app whose runs end at once; where they are archived, the environment says."""

from __future__ import annotations

from typing import Any

from stepflow import Step, Stepflow, Succeed

app = Stepflow()


@app.runner("count")
async def count(step: Step[int]) -> Any:
    return Succeed(step.payload)

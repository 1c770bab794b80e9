"""An app whose runs end at once; where they are archived, the environment says."""

from __future__ import annotations

import os
import time
from typing import Any

from stepflow import Step, Stepflow, Succeed

app = Stepflow()


@app.runner("count")
async def count(step: Step[int]) -> Any:
    return Succeed(step.payload)


@app.runner("forks")
async def forks(step: Step[float]) -> Any:
    """Fork off a process that has all that its worker has, for so many seconds."""
    if os.fork() == 0:
        time.sleep(step.payload)
        os._exit(0)
    return Succeed()

"""
The demo's pipeline: an agent that plans, searches, reads and writes; an app like any other.

    stepflow worker stepflow.cli.demo.pipeline:app
    stepflow submit research '{"topic": "tides"}' --wait
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from stepflow import Continue, Outcome, RetryPolicy, Step, Stepflow, Succeed, TransientError

app = Stepflow()

#: step 0, 1, 2, 3 of every run
STAGES = ("plan", "search", "read", "write")


@dataclass(frozen=True)
class Research:
    """
    What one step passes to the next.

    The commit of each step stores it, so a crash never loses more than one step.
    """

    topic: str
    #: seconds one call of the model takes
    pace: float = 0.5
    #: attempts of the search that fail before one works
    flaky: int = 0
    #: seconds to sleep after the plan; the run waits in Redis, not in a worker
    rest: float = 0.0
    notes: list[str] = field(default_factory=list)


async def model(prompt: str, pace: float) -> str:
    """Stand in for a language model: scripted, so that the demo needs no key and no network."""
    await asyncio.sleep(pace)
    return f"{prompt}: done"


@app.runner("research", retry=RetryPolicy(max_attempts=5, initial=0.2, factor=2), step_timeout=20)
async def research(step: Step[Research]) -> Outcome:
    """
    Do one step and return what comes next.

    Stepflow stores that and calls again, here or on another worker. A step that raises is tried
    again by the policy above; what earlier steps did is never done again.
    """
    work = step.payload
    stage = STAGES[step.number]
    if stage == "search" and step.attempt <= work.flaky:
        raise TransientError(f"the search engine is busy (attempt {step.attempt})")
    answer = await model(f"{stage} {work.topic}", work.pace)
    notes = [*work.notes, answer]
    if stage == STAGES[-1]:
        return Succeed({"topic": work.topic, "notes": notes})
    return Continue(
        replace(work, notes=notes), delay=work.rest if stage == "plan" and work.rest else None
    )

"""
The worker for everything: `stepflow worker workers.default:app`.

Replace the example runner with imports of your own modules. STEPFLOW_REDIS_URL names the Redis.
"""

from __future__ import annotations

import logging

from stepflow import Continue, Outcome, RunOutcome, Step, Stepflow, Succeed

log = logging.getLogger(__name__)

app = Stepflow()


@app.runner("countdown", step_timeout=30)
async def countdown(step: Step[dict[str, int]]) -> Outcome:
    """Count down from n, one step a number, a tenth of a second apart."""
    n = step.payload["n"]
    return Succeed({"steps": step.number + 1}) if n <= 0 else Continue({"n": n - 1}, delay=0.1)


@app.on_terminal
async def note(outcome: RunOutcome) -> None:
    """Log how each run ended."""
    log.info("run=%s ended: %s", outcome.run_id, outcome.status)

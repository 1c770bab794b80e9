"""Whether a page that looks again has anything new to see: big runs are drawn less often."""

from __future__ import annotations

from datetime import datetime

from stepflow.engine.timeline import Trace
from stepflow.web.pages.visit import Visit

#: attempts and steps above which a run is big, and seconds between two drawings of one
_BIG, _BIG_S = 2000, 5.0
#: seconds after which one that has ended is drawn again: a child, or a hook, may still move
_ENDED_S = 5.0


def stamp(trace: Trace, now: datetime) -> str:
    """Write down when a page was drawn, and when it has to be drawn again though nothing moves."""
    run = trace.run
    is_big = len(trace.attempts) + len(trace.steps) > _BIG
    wait_s = _ENDED_S if run.is_finished else _BIG_S if is_big else 0.0
    return f"{now.timestamp() + wait_s:.3f} {run.state} {run.generation}"


async def is_fresh(run_id: str, visit: Visit) -> bool:
    """Whether what a page shows, which its stamp says, is good for now."""
    until, _, state = visit.query.get("seen", "").partition(" ")
    try:
        is_early = visit.now.timestamp() < float(until or 0)
    except ValueError:
        return False
    if not is_early:
        return False
    run = await visit.client.status(run_id)
    return run is not None and state == f"{run.state} {run.generation}"

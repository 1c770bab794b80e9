"""
When a failed delivery is tried again.

The durable waits, computed by tenacity and slept by nobody.
"""

from __future__ import annotations

from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_chain, wait_fixed

from stepflow.hooks.verdict import LONGEST_WAIT_S

#: seconds between one try and the next; the first try is made at once
WAITS_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
#: tries in all
TRIES = len(WAITS_S) + 1
#: how far a wait may be off, either way, so that what failed together does not come back together
SPREAD = 0.2

_PLAN = Retrying(wait=wait_chain(*map(wait_fixed, WAITS_S)), stop=stop_after_attempt(TRIES))


def next_wait_s(attempt: int, spread: float, retry_after_s: float | None = None) -> float | None:
    """
    Say how many seconds after try *attempt* (from 1) failed the next is due.

    None when they are used up.

    *spread*, from 0 to 1, is the caller's draw: 0 is the shortest wait, 1 the longest. What the
    receiver asked for counts where it is longer, up to a day. Pure.
    """
    state = RetryCallState(_PLAN, None, (), {})
    state.attempt_number = attempt
    if _PLAN.stop(state):
        return None
    wait_s = _PLAN.wait(state) * (1 - SPREAD + 2 * SPREAD * spread)
    return max(wait_s, min(retry_after_s or 0.0, LONGEST_WAIT_S))

"""When a failed delivery is tried again: tenacity computes the waits, Redis keeps them."""

from __future__ import annotations

from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_chain, wait_fixed

from stepflow.hooks.response import LONGEST_WAIT_S

#: seconds between one try and the next; the first try is made at once
WAITS_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
#: tries in all
TRIES = len(WAITS_S) + 1
#: how far a wait may be off, either way, so that what failed together does not return together
SPREAD = 0.2

_PLAN = Retrying(wait=wait_chain(*map(wait_fixed, WAITS_S)), stop=stop_after_attempt(TRIES))


def next_wait_s(attempt: int, spread: float, retry_after_s: float | None = None) -> float | None:
    """
    Return the seconds from the failure of try *attempt* (from 1) to the next; None after the last.

    *spread*, from 0 to 1, is the caller's random number: 0 gives the shortest wait, 1 the longest.
    A longer wait that the receiver asked for counts instead, up to a day. Pure.
    """
    state = RetryCallState(_PLAN, None, (), {})
    state.attempt_number = attempt
    if _PLAN.stop(state):
        return None
    wait_s = _PLAN.wait(state) * (1 - SPREAD + 2 * SPREAD * spread)
    return max(wait_s, min(retry_after_s or 0.0, LONGEST_WAIT_S))

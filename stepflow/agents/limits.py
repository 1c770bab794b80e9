"""
Limits that calls of models have: so many calls, or so many tokens, per time, in all workers.

One that a step asks for with `units=` counts tokens: it is settled with what the call has used. A
provider that says when to come again has the first limit rest until then, for everybody.
"""

from __future__ import annotations

from stepflow.core.limits.slot import present_slot
from stepflow.errors import RateLimited, TransientError


def settle_tokens(tokens: int) -> None:
    """Say how many tokens the call has used that the present step makes."""
    slot = present_slot.get()
    for use in () if slot is None else slot.uses:
        if slot is not None and use.units > 1:
            slot.settle(use.name, tokens)


def resting(error: Exception, retry_after: float | None) -> Exception:
    """
    Return what the present step is to raise when its provider fails by *error*.

    Where it says when to come again and the step has a limit, the limit's key rests until then, and
    a limit of tokens gets its units back. The attempt counts: a provider that always refuses is
    asked as often as the policy says.
    """
    slot = present_slot.get()
    if slot is None or retry_after is None or not isinstance(error, TransientError):
        return error
    settle_tokens(0)
    first = slot.uses[0]
    error.rests = RateLimited(first.name, first.key, retry_after=retry_after)
    return error

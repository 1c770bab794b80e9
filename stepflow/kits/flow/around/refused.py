"""How the journal remembers that a step was not called, or refused by somebody else's limit."""

from __future__ import annotations

import logging

from stepflow.core.journal import RATE_LIMITED, RATE_LIMITED_ATTEMPT, write_try
from stepflow.core.outcomes import ErrorInfo, Raised, Rest, Resting
from stepflow.errors import BudgetExceeded, CircuitOpen
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.store.values.codec import pack

log = logging.getLogger("stepflow.flow")

#: seconds for which a step waits at least that somebody else's limit has refused
_LEAST_REST_S = 0.1
#: stand for the type of the error: no class of anybody has these names
_REFUSED, _SPENT = "circuit open", "budget exceeded"


def pack_refused(error: CircuitOpen | BudgetExceeded) -> bytes:
    """Write it so that a version before, too, finds a type, a message and a text beside it."""
    if isinstance(error, CircuitOpen):
        return pack([_REFUSED, error.why, f"{error.breaker}|{error.until_s}"])
    facts = (error.budget, error.window, error.unit, error.spent, error.limit, error.most)
    return pack([_SPENT, str(error), "|".join(map(str, facts))])


def read_refused(kind: str, message: str, facts: str) -> CircuitOpen | BudgetExceeded | None:
    """Read it back; None for an error of the step's own."""
    if kind == _REFUSED:
        breaker, _, until = facts.rpartition("|")
        return CircuitOpen(breaker, float(until), message)
    if kind == _SPENT:
        return BudgetExceeded(*facts.split("|"))
    return None


def rest_for(runtime: FlowRuntime, name: str, rest: Rest, message: str) -> bytes:
    """
    Have the limit rest that step *name* has found used up, with the entry that is written next.

    Gives the data of that entry: the step is due again when the limit has rested.
    """
    log.warning(
        "run=%s step %r: limit %s is used up, and rests for %.3g s; no attempt counts",
        runtime.run.id, name, rest.limit, rest.for_s,
    )  # fmt: skip
    until = _rest(runtime, rest)
    return write_try(until, ErrorInfo(RATE_LIMITED, message).brief())


def rest_beside(runtime: FlowRuntime, rest: Rest, fault: Raised) -> str:
    """Have a limit rest with the entry that is written next; gives how the attempt failed."""
    _rest(runtime, rest)
    return ErrorInfo(RATE_LIMITED_ATTEMPT, fault.error.message).brief()


def _rest(runtime: FlowRuntime, rest: Rest) -> float:
    """Give until when (unix seconds) the limit rests."""
    until = runtime.now() + max(rest.for_s, _LEAST_REST_S)
    runtime.limits.rest(Resting(rest.limit, rest.key, until))
    return until

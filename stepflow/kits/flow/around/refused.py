"""How the journal remembers that a step was not called: in the entry of an error."""

from __future__ import annotations

from stepflow.errors import BudgetExceeded, CircuitOpen
from stepflow.store.values.codec import pack

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

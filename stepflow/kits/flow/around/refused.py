"""How the journal remembers that a breaker has refused a step: in the entry of an error."""

from __future__ import annotations

from stepflow.errors import CircuitOpen
from stepflow.store.values.codec import pack

#: stands for the type of the error: no class of anybody has this name
_REFUSED = "circuit open"


def pack_refused(error: CircuitOpen) -> bytes:
    """Write it so that a version before, too, finds a type, a message and a text beside it."""
    return pack([_REFUSED, error.why, f"{error.breaker}|{error.until_s}"])


def read_refused(kind: str, message: str, where: str) -> CircuitOpen | None:
    """Read it back; None for an error of the step's own."""
    if kind != _REFUSED:
        return None
    breaker, _, until = where.rpartition("|")
    return CircuitOpen(breaker, float(until), message)

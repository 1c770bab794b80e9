"""The root of the tree, and how an error's sentence shows what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

#: characters of a value that an error's sentence shows
_SHOWN = 200


def shown(value: object) -> str:
    """
    Return the repr of a value for an error's sentence, cut after 200 characters.

    Never raises, whatever the value's own `__repr__` does.
    """
    try:
        text = repr(value)
    # a __repr__ of user code may raise anything; an int of too many digits raises, too
    except BaseException:  # noqa: BLE001
        bits = f" of {value.bit_length():,} bits" if isinstance(value, int) else ""
        return f"<{type(value).__name__}{bits}>"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return the end of a sentence that names the nearest of the known names; "" without one."""
    from difflib import get_close_matches  # noqa: PLC0415  wanted only for a mistake

    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


#: two ends, as a sentence about a run says them; it *is* whatever else
_ENDED = {"succeeded": "has succeeded", "failed": "has failed"}


def stands(state: str) -> str:
    """Say a run's *state* as the verb of a sentence: "has succeeded", "is waiting"."""
    return _ENDED.get(state) or f"is {state}"


class StepflowError(Exception):
    """The base of all errors of stepflow."""

    #: whether the same call may succeed later, unchanged
    retryable: ClassVar[bool] = False

"""The root of the tree."""

from __future__ import annotations

from typing import ClassVar

#: characters of a value that an error's sentence shows
_SHOWN = 200


def shown(value: object) -> str:
    """
    Write a value, whatever it is, into an error's sentence.

    At most some two hundred characters, and it never raises.
    """
    try:
        text = repr(value)
    except BaseException:  # noqa: BLE001  a __repr__ of user code; and an int of too many digits has none
        bits = f" of {value.bit_length():,} bits" if isinstance(value, int) else ""
        return f"<{type(value).__name__}{bits}>"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class StepflowError(Exception):
    """The root: catching it catches all that stepflow raises on purpose."""

    #: whether the same call may succeed later, unchanged
    retryable: ClassVar[bool] = False

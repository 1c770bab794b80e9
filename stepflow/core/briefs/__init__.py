"""
The message of an error in one line of a record, which is sealed where a process has keys.

The type of the error, and the index of an item, stay in clear. What seals is given from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: stands before what is sealed
_MARK = "\x01sealed:"
#: what stays in clear of `Type: message`
_CLEAR = re.compile(r"[^:]*: (?:\[\d+\] )?")
_LOCKED = "<encrypted; this process has no keys>"

Change = Callable[[str], str]


class _Sealing:
    """What seals and opens in this process."""

    seal: Change | None = None
    open: Change | None = None


def set_brief_seal(seal: Change | None, opener: Change | None) -> None:
    """Have messages sealed by *seal* from now on, and opened by *opener*; None ends that."""
    # a staticmethod, so that a function is not bound
    _Sealing.seal = seal and staticmethod(seal)
    _Sealing.open = opener and staticmethod(opener)


def sealed_brief(brief: str) -> str:
    """Seal the message in `Type: message`; the same where this process has no keys."""
    seal, clear = _Sealing.seal, _CLEAR.match(brief)
    if seal is None or clear is None:
        return brief
    return f"{clear[0]}{_MARK}{seal(brief[clear.end() :])}"


def sealed_text(text: str) -> str:
    """Seal all of a text; the same where this process has no keys. `opened_brief` opens it."""
    return text if _Sealing.seal is None else f"{_MARK}{_Sealing.seal(text)}"


def opened_brief(brief: str) -> str:
    """Give `Type: message` as it was, or say in words that the message cannot be read here."""
    head, mark, sealed = brief.partition(_MARK)
    if not mark:
        return brief
    return head + (_LOCKED if _Sealing.open is None else _Sealing.open(sealed))

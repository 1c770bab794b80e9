"""Values as a person reads them: times, sizes, and text with nothing hidden in it."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from stepflow.core.run import RunStatus

#: units of a span of time, the largest first
_UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))
#: bytes of a value that a page shows; the rest is for a download
MOST_SHOWN = 65_536
#: characters of one that is shown in a line
_LINE = 300
#: what a text may have of control characters
_LAYOUT = frozenset("\n\t")
_PICTURES = 0x2400
_DELETE = 0x7F


def visible(value: Any) -> Any:
    """
    Show what would not be seen: control characters, and those that turn the direction of writing.

    Markup, and what is no text, is left as it is.
    """
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "".join(map(_visible, value))


def _visible(char: str) -> str:
    if char.isprintable() or char in _LAYOUT:
        return char
    code = ord(char)
    if code < ord(" "):
        return chr(_PICTURES + code)
    if code == _DELETE:
        return "\N{SYMBOL FOR DELETE}"
    is_space = unicodedata.category(char) == "Zs"
    return char if is_space else f"\N{LEFT CEILING}U+{code:04X}\N{RIGHT CEILING}"


def span(seconds: float | None) -> str:
    """Write a number of seconds in one unit."""
    if seconds is None:
        return ""
    for size, unit in _UNITS:
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.0f} s"


def took(run: RunStatus) -> str:
    """Write how long a run took from its first step to its end; nothing of one that still lives."""
    if run.ended_at is None or run.started_at is None:
        return ""
    return span((run.ended_at - run.started_at).total_seconds())


def far(moment: datetime | None, now: datetime) -> str:
    """Write how far a moment is away: `3 min ago`, `in 2 h`."""
    if moment is None:
        return ""
    left_s = (moment - now).total_seconds()
    if abs(left_s) < 1:
        return "now"
    return f"in {span(left_s)}" if left_s > 0 else f"{span(-left_s)} ago"


def exact(moment: datetime | None) -> str:
    """Write a moment to the millisecond."""
    if moment is None:
        return ""
    return moment.astimezone(UTC).isoformat(" ", "milliseconds").replace("+00:00", " UTC")


def count(number: int | None) -> str:
    """Write a whole number with its thousands."""
    return "" if number is None else f"{number:,}"


def pretty(value: Any) -> str:
    """Write a value as JSON for a person."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


class Head(NamedTuple):
    """The beginning of a text, and how many bytes there are in all, if that is not all."""

    text: str
    bytes: int = 0


def head(value: Any) -> Head:
    """Write as much of a value as a page shows."""
    text = pretty(value)
    written = text.encode()
    if len(written) <= MOST_SHOWN:
        return Head(text)
    return Head(written[:MOST_SHOWN].decode(errors="ignore"), len(written))


def holds(value: Any) -> str:
    """Write a value in one line, cut."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LINE else f"{text[:_LINE]}…"


def size(count: int) -> str:
    """Write a number of bytes."""
    if count < 1000:  # noqa: PLR2004  a kilobyte
        return f"{count} B"
    return f"{count / 1_000_000:.1f} MB" if count >= 1_000_000 else f"{count / 1000:.0f} KB"  # noqa: PLR2004  a million

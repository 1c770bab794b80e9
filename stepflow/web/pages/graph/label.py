"""Labels: how wide they are, and where they are cut, for the server has no fonts."""

from __future__ import annotations

from unicodedata import category, east_asian_width

#: characters that a label shows
MOST = 26
#: pixels: of a character of the monospaced labels and of the smaller notes; beside them; the least
_CHARACTER, _OF_NOTE, _BESIDE, _LEAST = 7.6, 6.7, 30.0, 56.0
#: what a choice has more, for its points
_POINTS = 14.0


def width_of(text: str, note: str, *, is_choice: bool) -> float:
    """Give the width of the box of a label, in pixels."""
    widest = max(columns(cut(text)) * _CHARACTER, columns(cut(note)) * _OF_NOTE)
    return round(max(widest + _BESIDE, _LEAST) + (_POINTS if is_choice else 0.0), 1)


def cut(text: str) -> str:
    """Cut a label that is too long; what it does not show goes into the title."""
    line = " ".join(text.split()) or "-"
    if columns(line) <= MOST:
        return line
    kept = line[: MOST - 1]
    while columns(kept) > MOST - 1:
        kept = kept[:-1]
    return f"{kept}…"


def columns(text: str) -> int:
    """Count the columns of a text in a monospaced font."""
    return sum(
        0 if category(each) in {"Mn", "Me", "Cf"} else 2 if east_asian_width(each) in "WF" else 1
        for each in text
    )

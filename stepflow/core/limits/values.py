"""What a limit says, as the hash of limits has it: fields with a bar between them."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields, replace
from typing import Final, Literal

from stepflow.errors import InvalidOption, shown

#: takes away a bound that the code declares
NONE: Final = "none"
#: more of anything cannot be meant
_MOST = 1_000_000_000

Bound = int | Literal["none"] | None
Length = float | Literal["none"] | None


@dataclass(frozen=True, slots=True)
class LimitValues:
    """
    The bounds of a limit; None says nothing, "none" takes away what the code says.

    *interval* is the seconds between two begins, *max_wait* is in seconds.
    """

    concurrency: Bound = None
    interval: Length = None
    burst: int | None = None
    scope: str | None = None
    max_line: int | None = None
    max_wait: Length = None

    def check(self, name: str) -> None:
        """Raise InvalidOption for what limit *name* cannot say."""
        for what, value, least in (
            ("concurrency", self.concurrency, 0),
            ("burst", self.burst, 1),
            ("max_line", self.max_line, 1),
        ):
            if value is None or (value == NONE and what == "concurrency"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
                msg = (
                    f"{what} of limit {name!r} is {shown(value)}; it is a whole number, at least "
                    f"{least}"
                )
                raise InvalidOption(msg)
        if self.scope not in (None, "claim", "run"):
            msg = f"scope of limit {name!r} is {shown(self.scope)}; it is 'claim' or 'run'"
            raise InvalidOption(msg)

    def write(self) -> str:
        """Write them as the hash of limits has them."""
        return "|".join(_text(value) for value in astuple(self))

    def over(self, other: LimitValues) -> LimitValues:
        """Give *other* with what these say instead of what it says."""
        said = {name: value for name in _NAMES if (value := getattr(self, name)) is not None}
        return replace(other, **said)

    @property
    def says_nothing(self) -> bool:
        """Whether no field has a value."""
        return self == _NOTHING


_NAMES = [field.name for field in fields(LimitValues)]
_NOTHING = LimitValues()


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def read_values(written: str) -> LimitValues:
    """Read what the hash of limits has; what cannot be read says nothing."""
    parts = [*written.split("|"), *[""] * len(_NAMES)]
    return LimitValues(
        _whole(parts[0], NONE), _length(parts[1]), _whole(parts[2]), parts[3] or None,
        _whole(parts[4]), _length(parts[5]),
    )  # fmt: skip


def _whole(text: str, also: str = "") -> int | None:
    if also and text == also:
        return also  # type: ignore[return-value]
    return int(text) if text.isdecimal() else None


def _length(text: str) -> Length:
    if text == NONE:
        return NONE
    try:
        length = float(text)
    except ValueError:
        return None
    return length if 0 < length < float("inf") else None

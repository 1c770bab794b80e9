"""What a submit says of the runs that share a key with it: `Singleton` and `Debounce`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from stepflow.errors import InvalidOption, shown
from stepflow.times import seconds

#: what becomes of a submit while another run with its key lives
WhenTaken = Literal["same", "refuse", "replace"]
#: bytes of a key that stand in a record as they are; of a longer one its digest does
_SHORT = 48
#: bytes that a key may have
_MOST_BYTES = 1024
_WAYS = ("same", "refuse", "replace")


@dataclass(frozen=True, slots=True)
class Singleton:
    """
    At most one run with this *key* lives at a time, whatever its id, runner or queue.

    While one does, a submit gives that run ("same"), raises SingletonTaken ("refuse"), or cancels
    that run and takes its place ("replace"). The run that is cancelled may still be leaving its
    step when the new one begins. InvalidOption for what can be no key.
    """

    key: str
    when_taken: WhenTaken = "same"

    def __post_init__(self) -> None:
        _check_key(self.key, "singleton")
        if self.when_taken not in _WAYS:
            msg = f"when_taken {shown(self.when_taken)} is none of {', '.join(_WAYS)}"
            raise InvalidOption(msg)

    @property
    def name(self) -> str:
        """What the record of its run says of it, and its key in Redis."""
        return f"singleton:{_short(self.key)}"


@dataclass(frozen=True, slots=True)
class Debounce:
    """
    Many submits with this *key* are one run, which begins *wait* after the last of them.

    But no later than *max_wait* after the first, by default twelve times *wait*; both are seconds
    or a timedelta. Each submit gives the run that waits its payload. Once the run is due, the next
    submit makes another. InvalidOption for what can be no key or no time.
    """

    key: str
    wait: float | timedelta
    max_wait: float | timedelta | None = None

    def __post_init__(self) -> None:
        _check_key(self.key, "debounce")
        if self.most_s < self.wait_s or self.wait_s <= 0:
            msg = f"debounce {shown(self.key)} needs 0 < wait <= max_wait"
            raise InvalidOption(msg)

    @property
    def name(self) -> str:
        """What the record of its run says of it, and its key in Redis."""
        return f"debounce:{_short(self.key)}"

    @property
    def wait_s(self) -> float:
        """How long the run waits for another submit, in seconds."""
        return seconds(self.wait, "wait of debounce")

    @property
    def most_s(self) -> float:
        """How long after the first submit the run begins at the latest, in seconds."""
        most = self.wait_s * 12 if self.max_wait is None else self.max_wait
        return seconds(most, "max_wait of debounce")

    def due_at(self, first_at: float, now: float) -> float:
        """Say when the run is due, in unix seconds: submitted first then, and again now."""
        return min(now + self.wait_s, first_at + self.most_s)


def _check_key(key: object, what: str) -> None:
    is_key = isinstance(key, str) and key.isprintable() and key
    if not is_key or len(str(key).encode("utf-8", "replace")) > _MOST_BYTES:
        msg = f"{what} key {shown(key)} is not 1 to {_MOST_BYTES:,} bytes of printable text"
        raise InvalidOption(msg)


def _short(key: str) -> str:
    written = key.encode()
    return (
        key if len(written) <= _SHORT else "~" + hashlib.sha256(written).hexdigest()[: _SHORT - 1]
    )

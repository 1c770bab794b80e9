"""How often to try again, and how long to wait in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepflow.errors import InvalidOption

#: seconds: the wait before the second recovery of a step whose workers keep dying, doubled each time
CRASH_INITIAL_S = 1.0
#: seconds: no wait between recoveries is longer
CRASH_MAX_S = 300.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    When a step that raised is tried again.

    *max_attempts* counts the first try. The wait before attempt k+1 is `initial * factor**(k-1)` seconds, at most
    *max_delay*, with *jitter* spread over the upper half of it. *retry_on* (exception classes or their dotted names)
    limits what is retried, *give_up_on* excludes some; PermanentError is never retried, TransientError always.
    """

    max_attempts: int = 3
    initial: float = 1.0
    factor: float = 2.0
    max_delay: float = 300.0
    jitter: bool = True
    retry_on: Sequence[type[BaseException] | str] = ()
    give_up_on: Sequence[type[BaseException] | str] = ()

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or self.initial < 0 or self.factor < 1 or self.max_delay < 0:
            msg = f"{self!r}: max_attempts and factor are at least 1, initial and max_delay at least 0"
            raise InvalidOption(msg)

    def wait_s(self, failures: int, spread: float) -> float:
        """
        Give the seconds to wait after so many failed attempts (from 1).

        *spread* in [0, 1) is the caller's random number. Exponential backoff with "equal jitter": half fixed, half random.
        """
        try:
            full = min(self.max_delay, self.initial * self.factor ** (failures - 1))
        except OverflowError:
            full = self.max_delay
        return full * (0.5 + 0.5 * spread) if self.jitter else full

    def retries(self, error: BaseException) -> bool:
        """Say whether *error* is one this policy tries again."""
        if is_one_of(error, self.give_up_on):
            return False
        return not self.retry_on or is_one_of(error, self.retry_on)

    def as_dict(self) -> dict[str, Any]:
        """Give what differs from the defaults, classes as dotted names: the form a run keeps."""
        fields = {
            name: getattr(self, name) for name in self.__slots__ if getattr(self, name) != getattr(_DEFAULT, name)
        }
        for name in ("retry_on", "give_up_on"):
            if name in fields:
                fields[name] = [item if isinstance(item, str) else _dotted(item) for item in fields[name]]
        return fields


_DEFAULT = RetryPolicy()


def crash_wait_s(crashes: int, spread: float) -> float:
    """
    Give the seconds to wait before recovery number *crashes* (from 1): none at first, then doubling.

    *spread* in [0, 1) is the caller's random number: from half the wait to half as much again. Those that were lost with
    one worker must come back apart, for one of them may have killed it and would take the others along each time.
    """
    if crashes <= 1:
        return 0.0
    return float(min(CRASH_MAX_S, CRASH_INITIAL_S * 2 ** min(crashes - 2, 20) * (0.5 + spread)))


def _dotted(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def is_one_of(error: BaseException, kinds: Sequence[type[BaseException] | str]) -> bool:
    """Say whether *error* is of one of *kinds*: classes, or names, dotted or not, of its class or of one above that."""
    for kind in kinds:
        if isinstance(kind, str):
            if any(kind in (_dotted(base), base.__qualname__) for base in type(error).__mro__):
                return True
        elif isinstance(error, kind):
            return True
    return False

"""How often to try again, and how long to wait in between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from stepflow.durations import FOREVER_S
from stepflow.errors import InvalidOption, shown
from stepflow.names import dotted_name, is_importable
from stepflow.times import seconds

#: seconds: the wait before the second recovery of a step whose workers keep dying; it doubles
CRASH_INITIAL_S = 1.0
#: seconds: no wait between recoveries is longer
CRASH_MAX_S = 300.0


#: beyond these a policy cannot be meant as it is written
MOST_ATTEMPTS, MOST_FACTOR = 1_000_000_000, 1_000_000_000

#: errors, by class or by dotted name
Kinds = Iterable[type[BaseException] | str] | type[BaseException] | str


def _kinds(name: str, given: object) -> tuple[type[BaseException] | str, ...]:
    """Return exception classes and names as a tuple; one alone may come without a list."""
    kinds = (given,) if isinstance(given, str | type) else given
    found = tuple(kinds) if isinstance(kinds, Iterable) else (kinds,)
    for kind in found:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)) and not (
            isinstance(kind, str) and kind
        ):
            msg = (
                f"{name} of RetryPolicy holds {shown(kind)}; it takes exception classes or their "
                "dotted names"
            )
            raise InvalidOption(msg)
    return found


def _at_least_one(factor: object) -> float:
    if (
        isinstance(factor, bool)
        or not isinstance(factor, int | float)
        or not 1 <= factor <= MOST_FACTOR
    ):
        raise _no_policy("factor", factor)
    return float(factor)


def _no_policy(name: str, value: object) -> InvalidOption:
    return InvalidOption(
        f"{name} of RetryPolicy is {shown(value)}; max_attempts and factor are at least 1, initial "
        f"and max_delay at least 0 seconds; max_attempts is a whole number, at most "
        f"{MOST_ATTEMPTS:,} as factor is, no wait is over {FOREVER_S:,.0f} s"
    )


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    How often a step that raises is tried again, and how long to wait before each attempt.

    *max_attempts* includes the first one. The wait before attempt k+1 is `initial * factor**(k-1)`,
    at most *max_delay* (each seconds or a timedelta); *jitter* draws it from its upper half.
    *retry_on* (exception classes or their dotted names, one or several) limits what is retried,
    *give_up_on* excludes some. PermanentError is never retried, TransientError always. Raises
    InvalidOption for values that make no policy.
    """

    max_attempts: int = 3
    initial: float = 1.0
    factor: float = 2.0
    max_delay: float = 300.0
    jitter: bool = True
    retry_on: Kinds = ()
    give_up_on: Kinds = ()

    if TYPE_CHECKING:  # it takes waits in two forms, and keeps them in one

        def __init__(
            self, max_attempts: int = 3, initial: float | timedelta = 1.0, factor: float = 2.0,
            max_delay: float | timedelta = 300.0, jitter: bool = True,  # noqa: FBT001, FBT002  a field
            retry_on: Kinds = (), give_up_on: Kinds = (),
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        most, set_field = self.max_attempts, object.__setattr__
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_ATTEMPTS:
            raise _no_policy("max_attempts", most)
        factor = _at_least_one(self.factor)
        # numbers are stored and calculated with in one form, whichever you give
        set_field(self, "factor", factor)
        for name in ("initial", "max_delay"):
            try:
                set_field(self, name, seconds(getattr(self, name)))
            except InvalidOption:
                raise _no_policy(name, getattr(self, name)) from None
        for name in ("retry_on", "give_up_on"):
            set_field(self, name, _kinds(name, getattr(self, name)))

    def wait_s(self, failures: int, spread: float) -> float:
        """
        Return the seconds to wait after *failures* failed attempts (from 1).

        Exponential backoff with "equal jitter": half fixed, half random. *spread* in [0, 1) is the
        caller's random number.
        """
        try:
            full = min(self.max_delay, self.initial * self.factor ** (failures - 1))
        except OverflowError:
            full = self.max_delay if self.initial else 0.0
        return full * (0.5 + 0.5 * spread) if self.jitter else full

    def retries(self, error: BaseException) -> bool:
        """Whether this policy tries again after *error*."""
        if is_one_of(error, self.give_up_on):
            return False
        return not self.retry_on or is_one_of(error, self.retry_on)

    def as_dict(self) -> dict[str, Any]:
        """Return what differs from the defaults, classes as dotted names, as it is stored."""
        fields = {
            name: getattr(self, name)
            for name in self.__slots__
            if getattr(self, name) != getattr(_DEFAULT, name)
        }
        for name in ("retry_on", "give_up_on"):
            if name in fields:
                fields[name] = [
                    item if isinstance(item, str) else _importable(name, item)
                    for item in fields[name]
                ]
        return fields


_DEFAULT = RetryPolicy()


def crash_wait_s(crashes: int, spread: float) -> float:
    """
    Return the seconds to wait before recovery number *crashes* (from 1): 0, then doubling.

    *spread* in [0, 1) is the caller's random number and makes it half to one and a half of that.
    Steps that were lost with one worker must come back one by one: one of them may have killed it,
    and would take the others along each time.
    """
    if crashes <= 1:
        return 0.0
    return float(min(CRASH_MAX_S, CRASH_INITIAL_S * 2 ** min(crashes - 2, 20) * (0.5 + spread)))


def _importable(option: str, kind: type) -> str:
    name = dotted_name(kind)
    if not is_importable(name):
        msg = (
            f"{option} of RetryPolicy holds {kind.__qualname__}, which is defined in a notebook or "
            "at a prompt, where no worker finds it; define it in a module"
        )
        raise InvalidOption(msg)
    return name


def is_one_of(error: BaseException, kinds: Kinds) -> bool:
    """
    Whether *error* is of one of *kinds*: classes, or names of its class or of a base class.

    A name may be dotted or bare.
    """
    for kind in cast("tuple[type[BaseException] | str, ...]", kinds):
        if isinstance(kind, str):
            if any(kind in (dotted_name(base), base.__qualname__) for base in type(error).__mro__):
                return True
        elif isinstance(error, kind):
            return True
    return False


#: the policy of a single try
ONCE = RetryPolicy(max_attempts=1)


def check_policy(retry: object, what: str) -> None:
    """Raise InvalidOption unless *retry*, of *what*, is a RetryPolicy or None."""
    if retry is None or isinstance(retry, RetryPolicy):
        return
    attempts = retry if type(retry) is int and retry >= 1 else 3
    msg = (
        f"retry of {what} is {shown(retry)}, which is not a RetryPolicy; "
        f"write retry=RetryPolicy(max_attempts={attempts})"
    )
    raise InvalidOption(msg)

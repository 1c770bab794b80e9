"""Values that outlive an attempt: of one step, and of all runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol, cast

from stepflow.core.ids import check_text
from stepflow.errors import InvalidOption
from stepflow.times import seconds


class MemoSide(Protocol):
    """Where the memos of a step are kept."""

    def memo_get(self, key: str, default: Any) -> Any:
        """Read the memo: the value, or an awaitable of it."""

    def memo_put(self, key: str, value: Any) -> Any:
        """Write the memo value under the claim; None or an awaitable."""


class SharedSide(Protocol):
    """Where the values are that runs share."""

    def shared_get(self, key: str, default: Any) -> Any:
        """Read a value that runs share: the value, or an awaitable of it."""

    def shared_put(self, key: str, value: Any, lasts_s: float) -> Any:
        """Write a value for all runs; None or an awaitable."""

    def shared_compute(
        self, key: str, lasts_s: float, function: Callable[..., Any], args: Sequence[Any]
    ) -> Any:
        """Read such a value, or compute it where no run does: the value, or an awaitable of it."""


class SharedValue:
    """
    One value that all runs share: `await step.memo.shared("rates", ttl=3600).compute(load_rates)`.

    It is found by its key alone, whichever runner or run asks. In a plain function the calls block.
    """

    __slots__ = ("_key", "_runtime", "_ttl_s")

    def __init__(self, runtime: SharedSide, key: str, ttl_s: float) -> None:
        self._runtime, self._key, self._ttl_s = runtime, key, ttl_s

    def get(self, default: Any = None) -> Any:
        """Return the value, or *default* where there is none or it has expired."""
        return self._runtime.shared_get(self._key, default)

    def put(self, value: Any) -> Any:
        """Write *value*, over the one that is there."""
        return self._runtime.shared_put(self._key, value, self._ttl_s)

    def compute(self, function: Callable[..., Any], *args: Any) -> Any:
        """
        Return the value; where there is none, that of *function*, which is then shared.

        Of however many ask at once, one calls its function. The steps of the others end here, wait
        without occupying a worker and without an attempt, and are begun again once it has the
        value, or has failed.
        """
        return self._runtime.shared_compute(self._key, self._ttl_s, function, args)


class Memo:
    """
    Small values that later attempts of the same step can read.

    In an async runner `await step.memo.get(...)`, in a plain function `step.memo.get(...)`. Raises
    ClaimLost when another worker has taken over the step, InvalidOption for a key that is not 1 to
    200 characters long.
    """

    __slots__ = ("_runtime",)

    def __init__(self, runtime: MemoSide) -> None:
        self._runtime = runtime

    def get(self, key: str, default: Any = None) -> Any:
        """Return what this attempt or an earlier one put under *key*, else *default*."""
        return self._runtime.memo_get(check_text("the key of a memo", key), default)

    def put(self, key: str, value: Any) -> Any:
        """Store *value* under *key*; it is durable when this returns, or has been awaited."""
        return self._runtime.memo_put(check_text("the key of a memo", key), value)

    def shared(self, key: str, *, ttl: float | timedelta = 86_400.0) -> SharedValue:
        """
        Return the value that all runs share under *key*, each for *ttl* (seconds or timedelta).

        For the steps of runners and jobs; a `ctx.step` has `cache=`.
        """
        lasts_s = seconds(ttl, "ttl of a shared value")
        if lasts_s <= 0 or not hasattr(self._runtime, "shared_get"):
            msg = (
                f"ttl of a shared value is {ttl}; it must be above 0 seconds"
                if lasts_s <= 0
                else "the steps of a workflow share values by ctx.step(..., cache=), not by a memo"
            )
            raise InvalidOption(msg)
        key = check_text("the key of a shared value", key)
        return SharedValue(cast("SharedSide", self._runtime), key, lasts_s)

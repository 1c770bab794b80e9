"""What user code implements and is given: StepRunner and Step."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from stepflow.core.cancel import CancelToken
from stepflow.core.ids import check_text, step_key
from stepflow.core.outcomes import Outcome
from stepflow.errors import InvalidOption, StepOver
from stepflow.times import as_datetime, seconds

P = TypeVar("P")


class StepRunner(ABC):
    """The class form of a runner: one object a worker, called for every step of its runs."""

    @abstractmethod
    async def run_step(self, step: Step[Any]) -> Outcome:
        """
        Do one step and say what becomes of the run.

        A plain `def` works too: it runs in a thread.
        """


class StepRuntime(Protocol):
    """
    The runtime's side of a Step: what it can do for the step while it runs.

    `blocking` says a thread is asking.
    """

    blocking: bool

    def memo_get(self, key: str, default: Any) -> Any:
        """Give the memo value, or an awaitable of it."""

    def memo_put(self, key: str, value: Any) -> Any:
        """Write the memo value under the claim; None or an awaitable."""

    def extend(self, seconds_: float) -> Any:
        """Keep the claim at least that long; None or an awaitable."""


class Memo:
    """
    A small durable map of this run and step that survives attempts; written under the claim.

    In an async runner `await step.memo.get(...)`, in a plain function `step.memo.get(...)`. Raises
    ClaimLost when this worker no longer holds the step.
    """

    __slots__ = ("_runtime",)

    def __init__(self, runtime: StepRuntime) -> None:
        self._runtime = runtime

    def get(self, key: str, default: Any = None) -> Any:
        """Give what an earlier attempt, or this one, put under *key*, else *default*."""
        return self._runtime.memo_get(check_text("the key of a memo", key), default)

    def put(self, key: str, value: Any) -> Any:
        """Store *value* under *key* before this returns (or is awaited)."""
        return self._runtime.memo_put(check_text("the key of a memo", key), value)


#: stands for a deletion among the effects
DELETED = object()


class Effects:
    """
    Key-value writes of the run's own space, applied by the commit of this step, all or nothing.

    See `client.kv`.

    Raises StepOver once the step has returned, raised or was given up: its commit would not apply
    them.
    """

    __slots__ = ("is_over", "writes")

    def __init__(self, *, is_over: bool = False) -> None:
        self.writes: dict[str, Any] = {}
        self.is_over = is_over

    def put(self, key: str, value: Any) -> None:
        """Write *value* under *key* when the step commits."""
        self._check(key, deleting=False)
        self.writes[key] = value

    def delete(self, key: str) -> None:
        """Remove *key* when the step commits."""
        self._check(key, deleting=True)
        self.writes[key] = DELETED

    def _check(self, key: str, *, deleting: bool) -> None:
        check_text("the key of an effect", key)
        if self.is_over:
            raise StepOver(key)
        if key in self.writes and (self.writes[key] is DELETED) is not deleting:
            msg = f"effects of one step both put and delete key {key!r}; decide for one"
            raise InvalidOption(msg)


class _NoPort:
    """
    Stands in when a Step is built by hand, as in a unit test of a runner.

    Awaitable on a loop, plain without one.
    """

    blocking = True

    def __init__(self) -> None:
        self._memo: dict[str, Any] = {}

    def memo_get(self, key: str, default: Any) -> Any:
        return _for_either(self._memo.get(key, default))

    def memo_put(self, key: str, value: Any) -> Any:
        self._memo[key] = value
        return _for_either(None)

    def extend(self, seconds_: float) -> Any:
        del seconds_
        return _for_either(None)


def _for_either(value: Any) -> Any:
    try:
        future = asyncio.get_running_loop().create_future()
    except RuntimeError:
        return value
    future.set_result(value)
    return future


class Step(Generic[P]):
    """
    One step of one run, as its runner sees it.

    *number* counts from 0 through the run, *attempt* from 1 within the step; *payload* is what was
    submitted or what the step before handed on. Annotate the parameter `Step[Model]` and the
    payload comes as that type, validated.
    """

    __slots__ = (
        "_deadline_at",
        "_effects",
        "_generation",
        "_is_over",
        "_memo",
        "_runtime",
        "attempt",
        "cancel",
        "crashes",
        "headers",
        "number",
        "payload",
        "run_id",
    )

    def __init__(
        self,
        run_id: str,
        number: int,
        payload: P,
        headers: Mapping[str, str] | None = None,
        attempt: int = 1,
        cancel: CancelToken | None = None,
        *,
        generation: int = 0,
        deadline_at: float = 0.0,
        crashes: int = 0,
        runtime: StepRuntime | None = None,
    ) -> None:
        self.run_id = run_id
        self.number = number
        self.payload = payload
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.attempt = attempt
        #: how often this step was lost with its worker since it last got anywhere
        self.crashes = crashes
        #: fires when the run was asked to stop
        self.cancel = CancelToken() if cancel is None else cancel
        self._generation = generation
        self._deadline_at = deadline_at
        self._runtime = runtime
        self._memo: Memo | None = None
        self._effects: Effects | None = None
        self._is_over = False

    def __repr__(self) -> str:
        return f"Step({self.run_id!r}, {self.number}, attempt={self.attempt})"

    @property
    def key(self) -> str:
        """The idempotency key of this step: the same for all its attempts, no other step's."""
        return step_key(self.run_id, self._generation, self.number)

    @property
    def deadline(self) -> datetime | None:
        """When the run's timeout passes, if it has one."""
        return as_datetime(self._deadline_at)

    @property
    def memo(self) -> Memo:
        """The durable map of this run and step."""
        if self._memo is None:
            self._memo = Memo(self._ask())
        return self._memo

    @property
    def effects(self) -> Effects:
        """The key-value writes that the commit of this step applies."""
        if self._effects is None:
            self._effects = Effects(is_over=self._is_over)
        return self._effects

    @property
    def pending_effects(self) -> Mapping[str, Any]:
        """What the commit of this step writes, DELETED for a deletion: for the runtime."""
        return {} if self._effects is None else self._effects.writes

    @property
    def used_memo(self) -> bool:
        """Whether the runner asked for its memo, which may hold something now: for the runtime."""
        return self._memo is not None

    def end(self) -> None:
        """Note that the runner has returned: for the runtime, not for runners."""
        self._is_over = True
        if self._effects is not None:
            self._effects.is_over = True

    @property
    def runtime(self) -> StepRuntime:
        """The runtime's side of this step: for kits, not for runners."""
        return self._ask()

    def extend(self, duration: float | timedelta) -> Awaitable[None]:
        """
        Keep the claim, and move the step's timeout, at least *duration* from now.

        Never shortens either.

        Await it in an async runner; in a plain function it blocks. Raises ClaimLost when the claim
        is gone.
        """
        return self._ask().extend(seconds(duration, "the time to extend by"))  # type: ignore[no-any-return]

    def _ask(self) -> StepRuntime:
        if self._runtime is None:
            self._runtime = _NoPort()
        return self._runtime

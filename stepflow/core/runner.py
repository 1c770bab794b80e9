"""What your code implements, StepRunner, and what it is given, Step."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

from stepflow.core.cancel import CancelToken
from stepflow.core.ids import check_text, step_key
from stepflow.core.memos.memo import Memo, MemoSide, SharedSide
from stepflow.core.outcomes import Outcome
from stepflow.core.output import TOPIC
from stepflow.core.schedules.scheduled import scheduled_for
from stepflow.errors import InvalidOption, StepOver
from stepflow.logs import StepFacts, StepLog
from stepflow.times import as_datetime, seconds

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Permits

P = TypeVar("P")
I = TypeVar("I")  # noqa: E741  the input of a machine
E_co = TypeVar("E_co", covariant=True)


class WorkflowContext:
    """
    The `ctx` that a workflow is called with: a Context, or the SyncContext of a plain `def`.

    The kits make them; here it only tells type checkers a workflow from other functions.
    """


@runtime_checkable
class TypedRunner(Protocol[I, E_co]):
    """
    What says itself what its runs take and how they end: a Machine.

    The kits make them; here it only tells type checkers what to submit, and what comes of it.
    """

    name: str
    data: type[I]

    def ended(self, result: Any, /) -> E_co:
        """Read the result of a run."""


class StepRunner(ABC):
    """A runner as a class: a worker calls one object of it for all steps of its runs."""

    @abstractmethod
    async def run_step(self, step: Step[Any]) -> Outcome:
        """
        Do one step and return what happens next: Continue, Succeed, Fail or Cancel.

        A plain `def` works too: it runs in a thread.
        """


class StepRuntime(MemoSide, SharedSide, Protocol):
    """
    The runtime's side of a Step: what it can do for the step while it runs.

    `blocking` is True when the step runs in a thread: then calls block instead of giving
    awaitables.
    """

    blocking: bool

    def extend(self, seconds_: float) -> Any:
        """Keep the claim at least that long; None or an awaitable."""

    def emit(self, data: Any, topic: str) -> Awaitable[None]:
        """Add an item to the run's output; what is returned is done when it is written."""

    def reset_output(self) -> None:
        """Declare void what earlier attempts of the step have emitted."""

    @property
    def permits(self) -> Permits:
        """What gives the step permits of circuit breakers."""


#: stands for a deletion among the effects
DELETED = object()


class Effects:
    """
    Values that become visible together with the outcome of this step, all or none.

    Read them with `client.kv(run_id, key)`. Raises StepOver once the step has returned.
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
            raise StepOver(f"effect {key!r}")
        if key in self.writes and (self.writes[key] is DELETED) is not deleting:
            msg = f"effects of one step both put and delete key {key!r}; decide for one"
            raise InvalidOption(msg)


class _LocalRuntime:
    """
    The runtime of a Step that you build by hand, as in a unit test of a runner.

    Its answers are awaitable on a running loop, plain without one.
    """

    blocking = True

    def __init__(self) -> None:
        self._memo: dict[str, Any] = {}
        self._shared: dict[str, Any] = {}

    def shared_get(self, key: str, default: Any) -> Any:
        return _for_either(self._shared.get(key, default))

    def shared_put(self, key: str, value: Any, lasts_s: float) -> Any:
        del lasts_s
        self._shared[key] = value
        return _for_either(None)

    def shared_compute(
        self, key: str, lasts_s: float, function: Callable[..., Any], args: Sequence[Any]
    ) -> Any:
        del lasts_s
        if key not in self._shared:
            self._shared[key] = function(*args)
        value = self._shared[key]
        return value if isinstance(value, Awaitable) else _for_either(value)

    def memo_get(self, key: str, default: Any) -> Any:
        return _for_either(self._memo.get(key, default))

    def memo_put(self, key: str, value: Any) -> Any:
        self._memo[key] = value
        return _for_either(None)

    def extend(self, seconds_: float) -> Any:
        del seconds_
        return _for_either(None)

    def emit(self, data: Any, topic: str) -> Any:
        del data, topic
        return _for_either(None)

    def reset_output(self) -> None:
        pass

    @property
    def permits(self) -> Permits:
        from stepflow.core.breakers.breaker import FreePermits  # noqa: PLC0415  wanted by few

        return FreePermits()


def _for_either(value: Any) -> Any:
    try:
        future = asyncio.get_running_loop().create_future()
    except RuntimeError:
        return value
    future.set_result(value)
    return future


class Step(Generic[P]):
    """
    One step of one run, as its runner receives it.

    *number* counts the steps of the run from 0, *attempt* the attempts of the step from 1.
    *payload* is what was submitted, or what the step before passed to Continue. Annotate the
    parameter as `Step[Model]` to get the payload validated, as that type.
    """

    __slots__ = (
        "_deadline_at",
        "_effects",
        "_generation",
        "_is_over",
        "_memo",
        "_runner",
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
        runner: str = "",
        runtime: StepRuntime | None = None,
    ) -> None:
        self.run_id = run_id
        self.number = number
        self.payload = payload
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.attempt = attempt
        #: how often this step was lost with its worker since it last wrote a memo
        self.crashes = crashes
        #: fires when the run is asked to stop
        self.cancel = CancelToken() if cancel is None else cancel
        self._generation = generation
        self._deadline_at = deadline_at
        self._runner = runner
        self._runtime = runtime
        self._memo: Memo | None = None
        self._effects: Effects | None = None
        self._is_over = False

    def __repr__(self) -> str:
        return f"Step({self.run_id!r}, {self.number}, attempt={self.attempt})"

    @property
    def key(self) -> str:
        """The idempotency key of this step: the same for all its attempts, unique among steps."""
        return step_key(self.run_id, self._generation, self.number)

    @property
    def deadline(self) -> datetime | None:
        """When the run's timeout passes, in UTC; None without a timeout."""
        return as_datetime(self._deadline_at)

    @property
    def scheduled_for(self) -> datetime | None:
        """The time that the run is for, in UTC; None for a run of no schedule."""
        return scheduled_for(self.headers)

    @property
    def memo(self) -> Memo:
        """The durable map of this run and step that later attempts see."""
        if self._memo is None:
            self._memo = Memo(self._runtime_side())
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

    def told(self) -> list[Any]:
        """Write what a child process is told of the step beside its payload; see `of_told`."""
        return [
            self.run_id, self.number, dict(self.headers), self.attempt, self._generation,
            self._deadline_at, self.crashes, self._runner,
        ]  # fmt: skip

    @classmethod
    def of_told(cls, told: Sequence[Any], payload: Any, runtime: Any) -> Step[Any]:
        """Make the step that a child process is told of."""
        run_id, number, headers, attempt, generation, deadline_at, crashes, runner = told
        return Step(
            run_id, number, payload, headers, attempt, generation=generation,
            deadline_at=deadline_at, crashes=crashes, runner=runner, runtime=runtime,
        )  # fmt: skip

    def end(self) -> None:
        """Mark the step as over; the runtime calls it, runners do not."""
        self._is_over = True
        if self._effects is not None:
            self._effects.is_over = True

    @property
    def log(self) -> StepLog:
        """A logger whose lines say run, step and attempt."""
        facts = self.facts
        return StepLog(lambda: facts)

    @property
    def facts(self) -> StepFacts:
        """What log lines say of the step: for the runtime."""
        return StepFacts(self.run_id, self._runner, self.number, self.attempt)

    @property
    def runtime(self) -> StepRuntime:
        """The runtime's side of this step: for kits, not for runners."""
        return self._runtime_side()

    def extend(self, duration: float | timedelta) -> Awaitable[None]:
        """
        Give the step at least *duration* (seconds or timedelta) more from now before it times out.

        It never shortens the time. Await it in an async runner; in a plain function it blocks.
        Raises ClaimLost when another worker has taken over the step.
        """
        return self._runtime_side().extend(seconds(duration, "the time to extend by"))  # type: ignore[no-any-return]

    def emit(self, data: Any, topic: str = TOPIC) -> Awaitable[None]:
        """
        Say *data* to whoever reads the run's output; `stepflow.emit` says more.

        Awaiting what it returns waits until the item is written; you need not.
        """
        if self._is_over:
            raise StepOver(f"run {self.run_id!r} step {self.number}: what it emits")
        return self._runtime_side().emit(data, topic)

    def _runtime_side(self) -> StepRuntime:
        if self._runtime is None:
            self._runtime = _LocalRuntime()
        return self._runtime

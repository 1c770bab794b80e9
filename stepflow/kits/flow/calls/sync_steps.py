"""The steps and polls of a plain workflow: `Context`'s, but each call returns its value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, TypeVarTuple, Unpack, overload

from stepflow.core.backoff import RetryPolicy
from stepflow.kits.flow.calls.blocking import Blocking
from stepflow.kits.flow.calls.polls import PollOptions
from stepflow.kits.flow.calls.steps import StepOptions
from stepflow.kits.flow.commands.poll import Every, Pending

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Breaker
    from stepflow.core.budgets.budget import Spending
    from stepflow.core.limits.limit import Limit, LimitRequest

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SyncStepCalls(Blocking):
    """Steps and polls."""

    @overload
    def step(
        self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    def step(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def step(
        self, name: str, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    def step(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    def step(
        self,
        function: Callable[[*Ts], Awaitable[T]],
        /,
        *args: *Ts,
        compensate: Callable[[T], Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> T: ...
    @overload
    def step(
        self,
        function: Callable[[*Ts], T],
        /,
        *args: *Ts,
        compensate: Callable[[T], Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> T: ...
    @overload
    def step(
        self,
        name: str,
        function: Callable[[*Ts], Awaitable[T]],
        /,
        *args: *Ts,
        compensate: Callable[[T], Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> T: ...
    @overload
    def step(
        self,
        name: str,
        function: Callable[[*Ts], T],
        /,
        *args: *Ts,
        compensate: Callable[[T], Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> T: ...
    def step(  # type: ignore[misc]  # as Context.step
        self, name: str | Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run a function once and remember its value; see `Context.step`."""
        return self._wait(self._of.step, name, *args, **kwargs)

    def options(
        self,
        *,
        key: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        compensate: Callable[[Any], Any] | None = None,
        queue: str | None = None,
        breaker: Breaker | None = None,
        cache: float | timedelta | None = None,
        cache_key: Any = None,
        limit: Limit | LimitRequest | Sequence[Limit | LimitRequest] | None = None,
        spends: Spending | None = None,
    ) -> SyncStepCaller:
        """
        Set options of a step apart from its function's arguments.

        `ctx.options(timeout=30).step(fetch, url, timeout=5)`: the 5 is `fetch`'s own.
        """
        caller = self._of.options(
            key=key,
            retry=retry,
            timeout=timeout,
            compensate=compensate,
            queue=queue,
            breaker=breaker,
            cache=cache,
            cache_key=cache_key,
            limit=limit,
            spends=spends,
        )
        return SyncStepCaller(caller, self._loop)

    def forget(self, key: str) -> None:
        """Forget the values of steps with this *key*; see `Context.forget`."""
        self._wait(self._of.forget, key)

    @overload
    def poll(
        self,
        function: Callable[[*Ts], Awaitable[T | Pending | None]],
        /,
        *args: *Ts,
        every: Every,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    def poll(
        self,
        function: Callable[[*Ts], Awaitable[T | Pending | None]],
        /,
        *args: *Ts,
        every: Every,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    @overload
    def poll(
        self,
        function: Callable[[*Ts], T | Pending | None],
        /,
        *args: *Ts,
        every: Every,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    def poll(
        self,
        function: Callable[[*Ts], T | Pending | None],
        /,
        *args: *Ts,
        every: Every,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    @overload
    def poll(
        self,
        name: str,
        function: Callable[[*Ts], Awaitable[T | Pending | None]],
        /,
        *args: *Ts,
        every: Every,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    def poll(
        self,
        name: str,
        function: Callable[[*Ts], Awaitable[T | Pending | None]],
        /,
        *args: *Ts,
        every: Every,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    @overload
    def poll(
        self,
        name: str,
        function: Callable[[*Ts], T | Pending | None],
        /,
        *args: *Ts,
        every: Every,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    def poll(
        self,
        name: str,
        function: Callable[[*Ts], T | Pending | None],
        /,
        *args: *Ts,
        every: Every,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    def poll(  # type: ignore[misc]  # as Context.step
        self, name: str | Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Call a function until it returns something other than None; see `Context.poll`."""
        return self._wait(self._of.poll, name, *args, **kwargs)


class SyncStepCaller(Blocking):
    """Runs functions as steps whose options are set; see `StepCaller`."""

    @overload
    def step(
        self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    def step(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def step(
        self, name: str, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    def step(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    def step(self, name: str | Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run a function as `ctx.step` does; every argument here is the function's own."""
        return self._wait(self._of.step, name, *args, **kwargs)

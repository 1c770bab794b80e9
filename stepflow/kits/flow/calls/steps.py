"""`ctx.step`, `ctx.options`, `ctx.poll` and `ctx.forget`: functions whose values are remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from types import FunctionType
from typing import (
    TYPE_CHECKING,
    Any,
    ParamSpec,
    TypedDict,
    TypeVar,
    TypeVarTuple,
    Unpack,
    overload,
)

from stepflow.core.backoff import RetryPolicy, check_policy
from stepflow.core.ids import key_name
from stepflow.core.journal import KEYED
from stepflow.engine.spec import RunSpec
from stepflow.engine.user_code.arguments import bind
from stepflow.engine.user_code.callables import check_callable
from stepflow.kits.flow.calls.around import (
    around_call,
    around_value,
    check_remote,
    is_limit,
    limits_of_run,
    requests_in,
    spends_of,
)
from stepflow.kits.flow.calls.base import ContextBase
from stepflow.kits.flow.calls.functions import AWAITED, check_arguments, check_call, named
from stepflow.kits.flow.commands.child import id_at
from stepflow.kits.flow.commands.forget import ForgetCommand
from stepflow.kits.flow.commands.remote_step import step_remotely
from stepflow.kits.flow.commands.step import Around, StepCommand
from stepflow.kits.flow.step_options import (
    Compensation,
    DeclaredStep,
    KnownFunction,
    compensation_of,
)
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Breaker
    from stepflow.core.budgets.budget import Spending
    from stepflow.core.limits.limit import Limit, LimitRequest, StepLimit

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
S = TypeVar("S", bound=StepCommand)

#: stands for a `limit=` that was not given: the function's own may be None
NOT_GIVEN: Any = object()


class StepOptions(TypedDict, total=False):
    """The options of `ctx.step`, but for `compensate`."""

    key: str | None
    retry: RetryPolicy | None
    timeout: float | timedelta | None
    queue: str | None
    breaker: Breaker | None
    cache: float | timedelta | None
    cache_key: Any
    limit: Limit | LimitRequest | Sequence[Limit | LimitRequest] | None
    spends: Spending | None


class StepCalls(ContextBase):
    """Steps, and what is made of them."""

    @overload
    def step(
        self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self, name: str, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self,
        function: Callable[[*Ts], Awaitable[T]],
        /,
        *args: *Ts,
        compensate: Callable[[T], Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self,
        function: Callable[[*Ts], T],
        /,
        *args: *Ts,
        compensate: Callable[[T], Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self,
        name: str,
        function: Callable[[*Ts], Awaitable[T]],
        /,
        *args: *Ts,
        compensate: Callable[[T], Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self,
        name: str,
        function: Callable[[*Ts], T],
        /,
        *args: *Ts,
        compensate: Callable[[T], Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> asyncio.Future[T]: ...
    def step(  # type: ignore[misc]  # the options' names are taken out of the function's keywords
        self,
        name: str | Callable[..., Any],
        /,
        *args: Any,
        key: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        compensate: Callable[[Any], Any] | None = None,
        queue: str | None = None,
        breaker: Breaker | None = None,
        cache: float | timedelta | None = None,
        cache_key: Any = None,
        limit: Any = NOT_GIVEN,
        spends: Spending | None = None,
        **kwargs: Any,
    ) -> asyncio.Future[Any]:
        """
        Run a function once and record its value: `await ctx.step(search_web, topic)`.

        A plain function runs in a thread. A name may come first: `ctx.step("search", search_web,
        topic)`. Options that you do not pass come from `@app.step` above the function.

        *retry* defaults to the workflow's policy. *timeout* (seconds or timedelta) limits one
        attempt. *compensate* is called with the step's value if the run later fails or is
        cancelled; it is retried like the step. A step with a *key* is found by that key, wherever
        it is called; a second call returns the recorded value; a key may be of any length. With
        *queue* a worker of that queue runs the step, as a child run; the function must be declared
        with `@app.step`. While *breaker* is open the step waits, and so it does for a slot of each
        *limit*: a Limit, `limit.of("acme", units=3)`, or several of them; any other `limit=` goes
        to the function. *spends* says of which budget each call spends. If the function has a
        parameter with one of the other names, use `options`.

        Raises StepFailed in the workflow when the attempts are used up, and InvalidOption at once
        for arguments that the function does not take.
        """
        name, function, args = named(name, args)
        if limit is not NOT_GIVEN and not is_limit(limit):  # the function's own
            kwargs["limit"], limit = limit, None
        made = self._make_step(
            StepCommand, name, function, args, kwargs, key, retry, timeout, compensate, queue,
            breaker, cache, cache_key, None if limit is NOT_GIVEN else limit, spends,
        )  # fmt: skip
        return made if isinstance(made, asyncio.Future) else self._activation.start(made)

    def _make_step(
        self,
        kind: type[S],
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        key: str | None,
        retry: RetryPolicy | None,
        timeout: float | timedelta | None,
        compensate: Callable[[Any], Any] | None,
        queue: str | None,
        breaker: Breaker | None = None,
        cache: float | timedelta | None = None,
        cache_key: Any = None,
        limit: StepLimit | None = None,
        spends: Spending | None = None,
    ) -> S | asyncio.Future[Any]:
        """Make the command of a step, not started; the answer of one on another queue, which is."""
        known = self._known(name, function, args, kwargs)
        own = known.own
        place = self._activation.next_place() if key is None else self._keyed_place(key)
        policy = (own.retry or self._policy) if retry is None else _checked(retry, name)
        timeout_s = (
            own.timeout_s if timeout is None else seconds(timeout, f"timeout of step {name!r}")
        )
        compensation = _undo(compensate, own, name, policy, timeout_s)
        queue, breaker = queue or own.queue, breaker or own.breaker
        requests = own.limits if limit is None else requests_in(limit, name)
        if queue is not None:
            check_remote(
                name, own, timeout, breaker, spends, is_cached=cache is not None,
                is_limited=limit is not None,
            )  # fmt: skip
            occurrence = self._activation.commands.keyed.occurrence(place)
            spec = RunSpec(
                own.runner, bind(function, args, kwargs), id_at(self._activation, occurrence),
                queue=queue, retry=policy, priority=self._activation.run.priority, version=1,
                **limits_of_run(requests),
            )  # fmt: skip
            return step_remotely(
                self._activation, place, name, spec, read=known.read, compensation=compensation
            )
        spending = None if spends is None else spends_of(spends, self._activation, name)
        around: Around | None = spending
        if requests or breaker is not None or cache is not None or own.cache is not None:
            around = around_value(
                own.cache, cache, name, function, args, kwargs, cache_key, known.read,
                around_call(breaker, requests, name, self, spending),
            )  # fmt: skip
        command = kind(
            place, name, self._activation.create_future(), own.runs or function, args, kwargs,
            policy, timeout_s, known.read,
            place if key is None else self._activation.commands.keyed.occurrence(place), around,
        )  # fmt: skip
        command.key, command.compensation = key, compensation
        if spending is not None:
            spending.attach(command)
        return command

    def _known(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> KnownFunction:
        """Give what is known of a function; raises InvalidOption for arguments it cannot take."""
        known = self._readers.of(function)
        is_plain = type(function) is FunctionType and not kwargs
        shape = len(args) if is_plain else (type(function), len(args), *kwargs)
        if shape not in known.shapes:
            check_call(name, function, args, kwargs)
            known.learn(shape)
        if kwargs or not AWAITED.isdisjoint(map(type, args)):
            check_arguments(name, args, kwargs)
        return known

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
    ) -> StepCaller:
        """
        Set options of a step apart from its function's arguments.

        `await ctx.options(timeout=30).step(fetch, url, timeout=5)`: the 5 is `fetch`'s own, the 30
        is the step's. The options are those of `step`.
        """
        return StepCaller(
            self,
            (key, retry, timeout, compensate, queue, breaker, cache, cache_key, limit, spends),
        )

    def _keyed_place(self, key: str) -> str:
        self._activation.check_caller()
        return KEYED + key_name(key)

    def forget(self, key: str) -> asyncio.Future[None]:
        """
        Forget the values of steps with this *key*: the next one runs its function again.

        That is remembered, and holds from this call on.
        """
        name = key_name(key)
        self._activation.commands.keyed.forget(name)
        return self._activation.start(
            ForgetCommand(self._activation.next_place(), name, self._activation.create_future())
        )


class StepCaller:
    """Runs functions as steps whose options are set: `ctx.options(timeout=30).step(fetch, url)`."""

    __slots__ = ("_ctx", "_options")

    def __init__(self, ctx: StepCalls, options: tuple[Any, ...]) -> None:
        self._ctx = ctx
        self._options = options

    @overload
    def step(
        self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self, name: str, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]: ...
    def step(
        self, name: str | Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> asyncio.Future[Any]:
        """Run a function as `ctx.step` does; every argument goes to the function."""
        name, function, args = named(name, args)
        ctx = self._ctx
        made = ctx._make_step(StepCommand, name, function, args, kwargs, *self._options)  # noqa: SLF001  one house
        return made if isinstance(made, asyncio.Future) else ctx._activation.start(made)  # noqa: SLF001


def _checked(retry: RetryPolicy, name: str) -> RetryPolicy:
    """Return the policy that a step was given; raises InvalidOption for what is none."""
    check_policy(retry, f"step {name!r}")
    return retry


def _undo(
    given: Callable[[Any], Any] | None,
    own: DeclaredStep,
    name: str,
    policy: RetryPolicy,
    timeout_s: float | None,
) -> Compensation | None:
    """Say what undoes a step: what it is given, else what its function declares."""
    if given is not None:
        check_callable(given, f"compensate of step {name!r}", "compensate={}")
    undo = given or own.compensate
    return None if undo is None else compensation_of(undo, policy, timeout_s)

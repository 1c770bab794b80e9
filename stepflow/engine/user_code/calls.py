"""
Where user code is called, and the one table of what may leave it.

    what leaves user code                    what it means
    --------------------------------------   -------------------------------------------------
    a value                                  the value; the caller says what it may be
    a coroutine, or another awaitable        awaited: a plain wrapper may pass on what it wraps
    TransientError                           this attempt failed; the next one not before its
                                             `retry_after`
    PermanentError, UsageError, DataError    failed for good
    any other exception, UndecryptableValue  this attempt failed; the retry policy decides
    a group of exceptions                    the strictest verdict of those in it, the longest
                                             `retry_after`
    SystemExit, KeyboardInterrupt,           the same as an exception of that name
      GeneratorExit, any BaseException
    CancelledError by the runtime            the attempt was abandoned: its claim is lost, its
                                             time is up, its result is no longer needed, or the
                                             worker leaves
    CancelledError of its own making         this attempt failed, as by any other exception
    ClaimLost                                the claim is another worker's; nothing is written
    Postponed                                the step waits, and is begun again; no attempt

It applies to runners, jobs, steps, polls, compensations, hooks, workflows, and for functions in
threads. Who cancels a task of the runtime notes that first (`ClaimedRun.abandoned`,
`Command.is_dropped`, `WorkerState.is_over`): the exception does not tell.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import CoroutineType, FunctionType
from typing import Any, Protocol

from stepflow.core.backoff import RetryPolicy, is_one_of
from stepflow.core.outcomes import ErrorInfo, Raised, Rest, readable
from stepflow.engine.user_code.traces import kept
from stepflow.errors import (
    ClaimLost,
    DataError,
    PermanentError,
    Postponed,
    RateLimited,
    StepError,
    TransientError,
    UndecryptableValue,
    UsageError,
)
from stepflow.times import wait_asked

#: exceptions of a group that its message names
SHOWN = 5
#: awaitables that give awaitables: no more of them than this are awaited
MOST_HANDED_ON = 10

#: what is never retried, whatever the policy says
_FOR_GOOD = (PermanentError, UsageError, DataError)
#: characters of the name of an error's class that are kept
_LONGEST_NAME = 200
#: values that are looked at no further: none of them can be awaited
_PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})


class EscapedError(Exception):
    """
    Carries an error of user code through the runtime's own futures and tasks.

    It is for errors that are no Exception, or that Python gives another meaning there.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.error = error


class Threads(Protocol):
    """What runs plain functions beside the loop."""

    def run(self, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run *function* in a thread; the future has what it returned or raised."""
        ...


def is_async(function: Callable[..., Any]) -> bool:
    """
    Say whether *function* is `async def`, by what a call of it runs.

    A function, a method, a partial, an object.
    """
    if type(function) is FunctionType and function.__code__.co_flags & inspect.CO_COROUTINE:
        return True  # what most are, without the many questions of inspect
    while isinstance(function, partial):
        function = function.func
    if inspect.iscoroutinefunction(function):
        return True
    if inspect.isroutine(function) or inspect.isclass(function):
        return False
    return inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004


async def call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], threads: Threads
) -> Any:
    """
    Call a function where it belongs, on the loop or in a thread, and give its value.

    Raises nothing that could end the loop: see the table. ClaimLost and a cancel of the present
    task pass.
    """
    try:
        if is_async(function):
            value = await function(*args, **kwargs)
        else:
            value = await threads.run(partial(function, *args, **kwargs))
        return value if type(value) in _PLAIN else await settled(value)
    except (Exception, ClaimLost, Postponed):
        raise
    except BaseException as error:
        if passes(error):
            raise
        raise EscapedError(error) from error


async def settled(value: Any) -> Any:
    """Await what user code returned, should that be awaitable, and give the value."""
    for _ in range(MOST_HANDED_ON):
        if type(value) in _PLAIN or not inspect.isawaitable(value):
            return value
        value = await value
    if isinstance(value, CoroutineType):
        value.close()
    msg = (
        f"{MOST_HANDED_ON} awaitables in a row gave another awaitable; "
        "return the value, or await it"
    )
    raise PermanentError(msg)


def passes(error: BaseException) -> bool:
    """
    Say whether *error* means the present task itself.

    It is being cancelled, or closed as its loop ends.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, GeneratorExit) and asyncio._get_running_loop() is None  # noqa: SLF001  raises nothing


def ends_task(error: BaseException, *, is_over: bool) -> bool:
    """
    Say whether *error* ends the task that user code was called in.

    *is_over* once whoever owns the task cancels it.
    """
    return passes(error) and (is_over or not isinstance(error, asyncio.CancelledError))


def stay() -> None:
    """
    Take back what has cancelled the present task, which only meant the user code in it.

    The task goes on.
    """
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def raised(error: BaseException, policy: RetryPolicy) -> Raised:
    """Read the table above for what left user code by *error*: try again, or the end."""
    error = escaped(error)
    leaves = list(_leaves(error))
    waits = [
        wait_s
        for leaf in leaves
        if isinstance(leaf, TransientError) and (wait_s := _wait_asked_by(leaf))
    ]
    retryable = all(_is_retried(leaf, error, policy) for leaf in leaves) and not is_one_of(
        error, policy.give_up_on
    )
    return Raised(
        error_info(error), retryable=retryable, retry_after_s=max(waits, default=None),
        rest=next(filter(None, map(_rest_of, leaves)), None),
    )  # fmt: skip


def _rest_of(error: BaseException) -> Rest | None:
    if isinstance(error, RateLimited):
        return Rest(error.limit, error.key, _wait_asked_by(error) or 0.0)
    rests = vars(error).get("rests") if isinstance(error, TransientError) else None
    if not isinstance(rests, RateLimited):
        return None
    return Rest(rests.limit, rests.key, _wait_asked_by(rests) or 0.0, is_attempt=True)


def postponed(error: BaseException) -> Postponed | None:
    """Return what *error* waits for, also as a group of such; None for any other error."""
    if isinstance(error, Postponed):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    leaves = list(_leaves(error))
    waits = [leaf for leaf in leaves if isinstance(leaf, Postponed)]
    return max(waits, key=lambda wait: wait.due_at) if len(waits) == len(leaves) else None


def stop_waiting(error: BaseException | None) -> None:
    """Take back that something waits, such as its place in a line, where *error* had it wait."""
    wait = None if error is None else postponed(error)
    if wait is not None and wait.give_up is not None:
        wait.give_up()


def _wait_asked_by(error: TransientError) -> float | None:
    try:
        return wait_asked(error.retry_after)
    except BaseException:  # noqa: BLE001  a property of user code
        return None


def _is_retried(leaf: BaseException, whole: BaseException, policy: RetryPolicy) -> bool:
    if isinstance(leaf, TransientError):
        return True
    is_final = isinstance(leaf, _FOR_GOOD) and not isinstance(leaf, UndecryptableValue)
    if is_final or is_one_of(leaf, policy.give_up_on):
        return False
    return policy.retries(leaf) or policy.retries(whole)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """
    Give the exceptions of a group and of the groups in it, in their order.

    For any other, itself.
    """
    todo = [error]
    while todo:
        one = todo.pop()
        if isinstance(one, BaseExceptionGroup):
            todo += reversed(one.exceptions)
        else:
            yield one.error if isinstance(one, EscapedError) else one


def error_info(error: BaseException) -> ErrorInfo:
    """Give an error as it is kept; its own methods may raise whatever they like."""
    error = escaped(error)
    return ErrorInfo(_type_name(error), _message(error), _tail(error))


def _type_name(error: BaseException) -> str:
    try:
        return readable(type(error).__name__)[:_LONGEST_NAME]
    except BaseException:  # noqa: BLE001  a metaclass of user code
        return "UnnamedError"


def data_of(error: BaseException) -> Any:
    """
    Give the data that an error carries, of a group the first that is found; None without any.

    It is the `data` of our own errors, the attribute `stepflow_data` of any other.
    """
    for leaf in _leaves(escaped(error)):
        name = "data" if isinstance(leaf, StepError) else "stepflow_data"
        try:
            found = getattr(leaf, name, None)
        except BaseException:  # noqa: BLE001  a property of user code
            found = None
        if found is not None:
            return found
    return None


def escaped(error: BaseException) -> BaseException:
    """Give the user's own error, should *error* only carry it."""
    return error.error if isinstance(error, EscapedError) else error


def _message(error: BaseException) -> str:
    try:
        text = readable(error)
        if isinstance(error, BaseExceptionGroup):
            leaves = list(_leaves(error))
            named = "; ".join(f"{type(leaf).__name__}: {readable(leaf)}" for leaf in leaves[:SHOWN])
            more = len(leaves) - SHOWN
            text = readable(
                f"{error.message}: {named}" + (f"; and {more} more" if more > 0 else "")
            )
    except BaseException:  # noqa: BLE001  a __str__ of user code
        return "(its message cannot be read: __str__ raised)"
    return text


def _tail(error: BaseException) -> str:
    try:
        return readable(kept(error))
    except BaseException:  # noqa: BLE001  as above: what a traceback is made of may be user code
        return ""

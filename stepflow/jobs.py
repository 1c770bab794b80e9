"""`@app.job`: a typed function as a run of one step."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import (
    Any,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from stepflow.client import AsyncClient, AsyncRunHandle, Client, RunHandle
from stepflow.core.outcomes import Cancel, ErrorInfo, Fail, Outcome, Raised, Succeed
from stepflow.core.runner import Step
from stepflow.engine.user_code.arguments import bind, call_reader, result_reader
from stepflow.engine.user_code.calls import is_async, settled
from stepflow.engine.user_code.hints import returned_hint
from stepflow.engine.user_code.lossless import check_lossless
from stepflow.engine.user_code.resources.supply import supplied
from stepflow.errors import InvalidOption, shown
from stepflow.names import is_importable
from stepflow.store.values.annotations import kind_of
from stepflow.store.values.digest import digest

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Submitters(Protocol):
    """The app, as its jobs see it."""

    @property
    def client(self) -> Client:
        """A blocking client."""

    @property
    def async_client(self) -> AsyncClient:
        """A client for asyncio."""


class Job(Generic[P, R, T]):
    """
    A function that you can call as usual, or submit to run on a worker.

    In the type `Job[...]`, R is what a call returns, a coroutine for an `async def`; T is the
    result of a run.
    """

    def __init__(
        self, function: Callable[P, R], name: str, app: Submitters, queue: str, *, dedup: bool
    ) -> None:
        self.function = function
        #: what a child process calls that imports the job
        self.isolated_function = function
        self.name = name
        self.__doc__ = function.__doc__
        self._app = app
        self._queue = queue
        self._dedup = dedup
        self._read = result_reader(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self.function(*args, **kwargs)

    async def submit(self, *args: P.args, **kwargs: P.kwargs) -> AsyncRunHandle[T]:
        """
        Submit the call as a run; `result()` of the handle returns the function's value.

        Raises InvalidOption when the arguments do not fit the function.
        """
        payload = self._bind(args, kwargs)
        client = self._app.async_client
        handle = await client.submit(
            self.name, payload, run_id=self._run_id(payload), queue=self._queue
        )
        return handle.read_by(cast("Callable[[Any], T]", self._read))

    def submit_blocking(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[T]:
        """Submit the call as a run, like `submit`, from code without a loop."""
        payload = self._bind(args, kwargs)
        client = self._app.client
        handle = client.submit(self.name, payload, run_id=self._run_id(payload), queue=self._queue)
        return handle.read_by(cast("Callable[[Any], T]", self._read))

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if not is_importable(self.name):
            msg = (
                f"job {self.name.partition('.')[2]!r} is defined in a notebook or at a prompt, "
                "where no worker finds it; define it in a module, or give it the name that the "
                "workers know: @app.job(name=...)"
            )
            raise InvalidOption(msg)
        return bind(self.function, args, kwargs)

    def _run_id(self, payload: Any) -> str | None:
        if not self._dedup:
            return None
        return "job-" + hashlib.blake2b(digest(self.name, payload), digest_size=16).hexdigest()


class JobDecorator(Protocol):
    """What `@app.job(...)` with options gives: it makes a Job of the function below."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> Job[P, Coroutine[Any, Any, T], T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Job[P, T, T]: ...


def call_runner(function: Callable[..., Any], name: str) -> Callable[[Step[Any]], Any]:
    """
    Make the runner that calls *function* with a step's payload, as `bind` packed it.

    *name* is for errors. Succeed, Fail and Cancel mean what they mean in a runner; Continue is
    refused, for a job has no next step.
    """
    arguments, wanted = call_reader(function, name), kind_of(returned_hint(function) or Any)
    function = supplied(function, is_whole=True)

    def end_by(value: Any) -> Outcome:
        match value:
            case Succeed() | Fail() | Cancel():
                return value
            case Outcome():
                text = (
                    f"job {name!r} returned {shown(value)}; it has no next step: return a value, "
                    "Succeed, Fail or Cancel"
                )
                return Raised(ErrorInfo("NotAnOutcome", text), retryable=False)
        check_lossless(wanted, value, "the result")
        return Succeed(value)

    async def end_when_settled(value: Any) -> Outcome:
        return end_by(await settled(value))

    if is_async(function):

        async def run_async(step: Step[Any]) -> Outcome:
            args, kwargs = arguments(step.payload)
            return await end_when_settled(await function(*args, **kwargs))

        return run_async

    def run(step: Step[Any]) -> Outcome | Awaitable[Outcome]:
        args, kwargs = arguments(step.payload)
        value = function(*args, **kwargs)
        return end_when_settled(value) if inspect.isawaitable(value) else end_by(value)

    return run

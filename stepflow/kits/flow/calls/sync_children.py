"""The waits, children and variables of a plain workflow: `Context`'s, but each call blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar, Unpack, overload

from stepflow.core.fanout.join import JoinAll, JoinFirst, JoinLike, JoinSlots
from stepflow.core.run import RunState
from stepflow.core.runner import WorkflowContext
from stepflow.errors import ChildFailed
from stepflow.kits.flow.calls.blocking import Blocking
from stepflow.kits.flow.calls.children import MapOptions, SpawnOptions

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  the input of a workflow
C = TypeVar("C", bound=WorkflowContext)


class SyncWaitCalls(Blocking):
    """Waits for a time, a signal or an answer."""

    def sleep(self, duration: float | timedelta) -> None:
        """Wait that long (seconds or timedelta), without keeping a worker."""
        self._wait(self._of.sleep, duration)

    def sleep_until(self, moment: float | datetime) -> None:
        """Wait until then (unix seconds or an aware datetime)."""
        self._wait(self._of.sleep_until, moment)

    @overload
    def wait_for_signal(self, *names: str, type: type[T], timeout: None = None) -> T: ...
    @overload
    def wait_for_signal(
        self, *names: str, type: type[T], timeout: float | timedelta | None
    ) -> T | None: ...
    @overload
    def wait_for_signal(
        self, *names: str, type: Any = None, timeout: float | timedelta | None = None
    ) -> Any: ...
    def wait_for_signal(self, *names: str, **options: Any) -> Any:
        """Wait for the first signal of these names; see `Context.wait_for_signal`."""
        return self._wait(self._of.wait_for_signal, *names, **options)

    @overload
    def ask(
        self,
        wanted: type[T],
        prompt: str,
        timeout: None = None,
        *,
        notify: Callable[[str], Any] | None = None,
    ) -> T: ...
    @overload
    def ask(
        self,
        wanted: type[T],
        prompt: str,
        timeout: float | timedelta | None,
        *,
        notify: Callable[[str], Any] | None = None,
    ) -> T | None: ...
    @overload
    def ask(
        self,
        wanted: Any,
        prompt: str,
        timeout: float | timedelta | None = None,
        *,
        notify: Callable[[str], Any] | None = None,
    ) -> Any: ...
    def ask(self, *args: Any, **options: Any) -> Any:
        """Ask people a question and wait for the answer; see `Context.ask`."""
        return self._wait(self._of.ask, *args, **options)


class SyncChild(Blocking, Generic[T]):
    """A run that a workflow began: `id`, and `child.result()`."""

    @property
    def id(self) -> str:
        """The run id."""
        return str(self._of.id)

    def __repr__(self) -> str:
        return f"SyncChild({self.id!r})"

    def result(self) -> T:
        """Wait until the child has ended and return its result; see `Child.result`."""
        result: T = self._wait(self._of.result)
        return result

    def status(self) -> RunState | None:
        """Return the state of the child as it is now; see `Child.status`."""
        state: RunState | None = self._wait(self._of.status)
        return state


class SyncChildCalls(Blocking):
    """Children."""

    @overload
    def spawn(
        self, workflow: Callable[[C, I], Awaitable[T]], payload: I, **options: Unpack[SpawnOptions]
    ) -> SyncChild[T]: ...
    @overload
    def spawn(
        self, workflow: Callable[[C], Awaitable[T]], **options: Unpack[SpawnOptions]
    ) -> SyncChild[T]: ...
    @overload
    def spawn(
        self, workflow: Callable[[C, I], T], payload: I, **options: Unpack[SpawnOptions]
    ) -> SyncChild[T]: ...
    @overload
    def spawn(
        self, workflow: Callable[[C], T], **options: Unpack[SpawnOptions]
    ) -> SyncChild[T]: ...
    @overload
    def spawn(
        self, workflow: str, payload: Any = None, **options: Unpack[SpawnOptions]
    ) -> SyncChild[Any]: ...
    def spawn(self, *args: Any, **options: Any) -> SyncChild[Any]:
        """Begin a child run; see `Context.spawn`."""
        return SyncChild(self._wait(self._of.spawn, *args, **options), self._loop)

    @overload
    def map(
        self,
        workflow: Callable[[C, I], Awaitable[T]],
        items: Iterable[I],
        *,
        join: JoinAll | Literal["all"] = "all",
        **options: Unpack[MapOptions],
    ) -> list[T]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], T],
        items: Iterable[I],
        *,
        join: JoinAll | Literal["all"] = "all",
        **options: Unpack[MapOptions],
    ) -> list[T]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], Awaitable[T]],
        items: Iterable[I],
        *,
        join: JoinSlots | Literal["settled"],
        **options: Unpack[MapOptions],
    ) -> list[T | ChildFailed]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], T],
        items: Iterable[I],
        *,
        join: JoinSlots | Literal["settled"],
        **options: Unpack[MapOptions],
    ) -> list[T | ChildFailed]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], Awaitable[T]],
        items: Iterable[I],
        *,
        join: JoinFirst | int,
        **options: Unpack[MapOptions],
    ) -> list[tuple[int, T]]: ...
    @overload
    def map(
        self,
        workflow: Callable[[C, I], T],
        items: Iterable[I],
        *,
        join: JoinFirst | int,
        **options: Unpack[MapOptions],
    ) -> list[tuple[int, T]]: ...
    @overload
    def map(
        self,
        workflow: str,
        items: Iterable[Any],
        *,
        join: JoinLike = "all",
        **options: Unpack[MapOptions],
    ) -> list[Any]: ...
    def map(self, *args: Any, **options: Any) -> Any:
        """Begin a child run for each item and wait for them; see `Context.map`."""
        return self._wait(self._of.map, *args, **options)


class SyncVariables(Blocking):
    """Named values that outlive activations; see `Variables`."""

    @overload
    def get(self, name: str, default: None = None, *, type: type[T]) -> T | None: ...
    @overload
    def get(self, name: str, default: T, *, type: type[T]) -> T: ...
    @overload
    def get(self, name: str, default: Any = None, *, type: Any = None) -> Any: ...
    def get(self, *args: Any, **options: Any) -> Any:
        """Return the value, or *default* when there is none."""
        return self._wait(self._of.get, *args, **options)

    def set(self, name: str, value: Any) -> None:
        """Write the value; None removes it."""
        self._wait(self._of.set, name, value)

    def incr(self, name: str, by: int = 1) -> int:
        """Add *by* to a whole number, counted from 0, and return the sum."""
        return int(self._wait(self._of.incr, name, by))

    def compare_and_set(self, name: str, expected: Any, value: Any) -> bool:
        """Write *value* if the variable holds *expected*; returns whether it did."""
        return bool(self._wait(self._of.compare_and_set, name, expected, value))

    def typed(self, type: type[T], *, name: str | None = None) -> SyncTypedVariable[T]:  # noqa: A002  as of `Variables.typed`
        """Give a view of one variable as an object of *type*; see `Variables.typed`."""
        return SyncTypedVariable(self._of.typed(type, name=name), self._loop)


class SyncTypedVariable(Blocking, Generic[T]):
    """One variable as an object of a type; see `TypedVariable`."""

    @overload
    def get(self, default: None = None) -> T | None: ...
    @overload
    def get(self, default: T) -> T: ...
    def get(self, default: Any = None) -> Any:
        """Return the object, or *default* when there is none."""
        return self._wait(self._of.get, default)

    def set(self, value: T | None) -> None:
        """Write the object; None removes it."""
        self._wait(self._of.set, value)

    def compare_and_set(self, expected: T | None, value: T | None) -> bool:
        """Write *value* if the variable holds *expected*; returns whether it did."""
        return bool(self._wait(self._of.compare_and_set, expected, value))


class SyncSession(Blocking):
    """What the runs of a session share."""

    @property
    def id(self) -> str:
        """The session's id."""
        return str(self._of.id)

    @property
    def vars(self) -> SyncVariables:
        """The variables of the session."""
        return SyncVariables(self._of.vars, self._loop)

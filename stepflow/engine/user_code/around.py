"""What an app declares around all that it registers: lifespans and middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from stepflow.engine.user_code.lifespan import Lifespan
from stepflow.engine.user_code.middleware import Middleware, check_middleware

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry

T = TypeVar("T")
M = TypeVar("M", bound=Middleware)


class Around:
    """The decorators of an app for what stands around its code."""

    registry: Registry

    @overload
    def lifespan(self, function: Callable[[], AsyncIterator[T]]) -> Lifespan[T]: ...

    @overload
    def lifespan(self, function: Callable[[], Iterator[T]]) -> Lifespan[T]: ...

    @overload
    def lifespan(self, function: Callable[[], AbstractAsyncContextManager[T]]) -> Lifespan[T]: ...

    @overload
    def lifespan(self, function: Callable[[], AbstractContextManager[T]]) -> Lifespan[T]: ...

    def lifespan(self, function: Any) -> Any:
        """
        Open what the function below yields when a worker starts, and close it when it stops.

        `async def pool(): async with create_pool(URL) as made: yield made`. Your steps then use
        `pool.value`. Each worker process opens its own before it takes steps, and closes it when
        its steps are done; so does a test harness. Several are opened in the order of their
        declaration. If one raises, the worker does not start and prints the traceback.
        """
        lifespan: Lifespan[Any] = Lifespan(function)
        self.registry.lifespans.append(lifespan)
        return lifespan

    def middleware(self, function: M) -> M:
        """
        Call the function below around each attempt of a step, runner or job, and around each hook.

        `async def traced(call, call_next): with span(call.name): return await call_next()`. The
        first one that is registered is the outermost. It is not called on replay. What it raises
        counts as raised by the step, and what it returns is the value of the step.
        """
        check_middleware(function)
        self.registry.middleware.append(function)
        return function

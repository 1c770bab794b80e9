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
        Open what the function below yields when a worker starts, and close it when it has left.

        `async def pool(): async with create_pool(URL) as made: yield made`. Your steps then use
        `pool.value`. Each worker process opens its own, before it takes claims, and closes it when
        its steps are done; a harness does so as well. Several are opened in their order. What one
        raises ends the start of the worker, with its traceback.
        """
        lifespan: Lifespan[Any] = Lifespan(function)
        self.registry.lifespans.append(lifespan)
        return lifespan

    def middleware(self, function: M) -> M:
        """
        Call the function below around each attempt of a step, runner or job, and around each hook.

        `async def traced(call, call_next): with span(call.name): return await call_next()`. The
        first one that is registered is the outermost. Steps that a workflow remembers are not
        called. What it raises is what the step raised, and what it returns is the step's value.
        """
        check_middleware(function)
        self.registry.middleware.append(function)
        return function

"""The resources that are set up: those of a worker, or of one activation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from stepflow.engine.user_code.calls import error_info, passes
from stepflow.engine.user_code.resources.keeper import Keeper
from stepflow.engine.user_code.resources.resource import Resource, ResourceScope, Supplier
from stepflow.errors import ResourceFailed, ResourceNotOpen

#: seconds that tearing down one resource may take; a worker that leaves has a few after its grace
CLOSING_S = 3.0

#: the activation on whose behalf the present code runs
_activation: ContextVar[Scope | None] = ContextVar("activation", default=None)


class Scope:
    """
    Sets up resources when they are first asked for, those that they need before them.

    *kind* says which; the others are those of *outer*. Lives on one loop.
    """

    def __init__(self, kind: ResourceScope, outer: Supplier | None = None) -> None:
        self.kind = kind
        self.fakes: MutableMapping[Resource[Any], Any] = {} if outer is None else outer.fakes
        #: what the activation was left by: thrown in where its resources yield
        self.error: BaseException | None = None
        self.is_closed = False
        self._outer = outer
        self.loop = asyncio.get_running_loop() if outer is None else outer.loop
        self.thread = threading.get_ident() if outer is None else outer.thread
        self._values: dict[Resource[Any], asyncio.Task[Any]] = {}
        self._keepers: list[Keeper] = []

    async def value(self, resource: Resource[Any]) -> Any:
        """Give the value of a resource, which is set up first if need be."""
        if resource in self.fakes:
            return self.fakes[resource]
        if resource.scope != self.kind:
            if self._outer is None:
                raise ResourceNotOpen(resource.name)
            return await self._outer.value(resource)
        setting_up = self._values.get(resource)
        if setting_up is None:
            if self.is_closed:
                raise ResourceNotOpen(resource.name)
            setting_up = self.loop.create_task(self._set_up(resource))
            setting_up.add_done_callback(lambda done: self._note(resource, done))
            self._values[resource] = setting_up
        return await asyncio.shield(setting_up)

    def value_from_thread(self, resource: Resource[Any]) -> Any:
        """Give the same to a plain function, which runs in a thread."""
        if resource in self.fakes:
            return self.fakes[resource]
        if resource.scope != self.kind and self._outer is not None:
            return self._outer.value_from_thread(resource)
        done = self._values.get(resource)
        if done is not None and done.done():
            return done.result()
        if threading.get_ident() == self.thread:  # it would wait for itself
            raise ResourceNotOpen(resource.name)
        return asyncio.run_coroutine_threadsafe(self.value(resource), self.loop).result()

    async def close(self) -> None:
        """Tear down what was set up, the last one first; what fails is logged."""
        self.is_closed = True
        for setting_up in self._values.values():
            setting_up.cancel()
        try:
            while self._keepers:
                await self._keepers[-1].close(CLOSING_S, self.error)
                self._keepers.pop()
        finally:  # nothing is left, unless whoever closes was cancelled
            for keeper in self._keepers:
                keeper.let_go()

    def close_from_thread(self) -> None:
        """Tear down from the thread of a plain function."""
        asyncio.run_coroutine_threadsafe(self.close(), self.loop).result()

    @property
    def closing(self) -> list[str]:
        """The names of those that are being torn down."""
        return [keeper.name for keeper in self._keepers if keeper.is_closing]

    async def _set_up(self, resource: Resource[Any]) -> Any:
        given = {name: await self.value(need) for name, need in resource.needs.items()}
        keeper = Keeper(resource.name)
        self._keepers.append(keeper)
        return await keeper.open(lambda: resource.make(**given), resource.start_timeout_s)

    def _note(self, resource: Resource[Any], done: asyncio.Task[Any]) -> None:
        """Forget one that failed: the next who asks tries again."""
        if done.cancelled() or done.exception() is not None:
            self._values.pop(resource, None)


class Resources:
    """The resources that an app declares, and the workers of this process that have set them up."""

    def __init__(self) -> None:
        self._declared: list[Resource[Any]] = []
        self._workers: list[Scope] = []
        #: whether one of them is made for each activation
        self.has_any_of_runs = False

    def __bool__(self) -> bool:
        return bool(self._declared)

    def declare(
        self, function: Callable[..., Any], *, scope: ResourceScope, start_timeout_s: float
    ) -> Resource[Any]:
        """Declare one more; it may need those that were declared before it, and no other."""
        resource = Resource[Any](
            function, self._workers, scope=scope, start_timeout_s=start_timeout_s
        )
        self._declared.append(resource)
        self.has_any_of_runs = self.has_any_of_runs or scope == "run"
        return resource

    @property
    def checked(self) -> list[Resource[Any]]:
        """Those that have a health."""
        return [resource for resource in self._declared if resource.check is not None]

    @property
    def closing(self) -> list[str]:
        """The names of those that are being torn down."""
        return [name for scope in self._workers for name in scope.closing]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """
        Have those of a worker set up for the block, in the order in which they were declared.

        Raises ResourceFailed for the one that could not be; those before it are torn down.
        """
        async with self.opened_when_used({}) as scope:
            for resource in self._declared:
                if resource.scope == "worker":
                    await _set_up(resource, scope)
            yield

    @asynccontextmanager
    async def opened_when_used(
        self, fakes: MutableMapping[Resource[Any], Any]
    ) -> AsyncIterator[Scope]:
        """Have those of a worker set up when somebody asks for them, unless *fakes* has them."""
        scope = Scope("worker")
        scope.fakes = fakes
        self._workers.append(scope)
        try:
            yield scope
        finally:
            try:
                await scope.close()
            finally:
                self._workers.remove(scope)

    @asynccontextmanager
    async def activation(self) -> AsyncIterator[None]:
        """Have what is asked for in the block share those of one activation."""
        scope = Scope("run", self._workers[-1] if self._workers else None)
        token = _activation.set(scope)
        try:
            yield
        finally:
            _activation.reset(token)
            await scope.close()


def current_activation() -> Scope | None:
    """Give the activation on whose behalf the present code runs; None for none, as in a hook."""
    scope = _activation.get()
    return None if scope is None or scope.is_closed else scope


async def _set_up(resource: Resource[Any], scope: Scope) -> None:
    try:
        await scope.value(resource)
    except BaseException as error:
        if passes(error):
            raise
        info = error_info(error)
        raise ResourceFailed(resource.name, info.summary, info.traceback) from error

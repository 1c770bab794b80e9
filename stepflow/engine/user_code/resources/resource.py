"""Resources as an app declares them, and the parameters that ask for one."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from types import FunctionType
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

from stepflow.engine.user_code.hints import own_signature
from stepflow.engine.user_code.resources.health import Health
from stepflow.engine.user_code.resources.managers import manager_maker, needed_parameter
from stepflow.errors import InvalidOption, ResourceNotOpen, shown

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., "Health | Awaitable[Health | None] | None"])

#: "worker": one for each worker process; "run": one for each activation of a run
ResourceScope = Literal["worker", "run"]


class Supplier(Protocol):
    """What has the values of resources: that of a worker, or of an activation."""

    #: what stands for resources in a test
    fakes: MutableMapping[Resource[Any], Any]
    #: the loop on which it lives, and the thread of that
    loop: asyncio.AbstractEventLoop
    thread: int

    async def value(self, resource: Resource[Any]) -> Any:
        """Give the value of a resource, which is set up first if need be."""
        ...

    def value_from_thread(self, resource: Resource[Any]) -> Any:
        """Give the same to a plain function, which runs in a thread."""
        ...


class Resource(Generic[T]):
    """
    Something that your functions need and the worker sets up: declared with `@app.resource`.

    A parameter asks for it: `async def charge(order: Order, pool: Pool = inject(pool))`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        suppliers: Sequence[Supplier],
        *,
        scope: ResourceScope,
        start_timeout_s: float,
    ) -> None:
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self.__doc__ = function.__doc__
        self.scope = scope
        self.start_timeout_s = start_timeout_s
        self.make = manager_maker("resource", self.name, function)
        #: the resources that are passed to the function, by the parameter
        self.needs = injections(function)
        #: says how it is; None when nothing does
        self.check: Callable[[T], Any] | None = None
        #: the workers of this process that have it, the last one counts
        self.suppliers = suppliers
        self._check_parameters(function)

    def __repr__(self) -> str:
        return f"Resource({self.name!r}, scope={self.scope!r})"

    def health(self, check: C) -> C:
        """
        Ask the function below every few seconds how the resource is.

        It gets the value. It returns a Health, or nothing for one that is well; what it raises
        means unhealthy. An unhealthy worker takes nothing until it is better.
        """
        if self.scope != "worker":
            msg = f"resource {self.name!r} has scope='run'; only those of a worker have a health"
            raise InvalidOption(msg)
        given: object = check
        if not callable(given):
            msg = f"health of resource {self.name!r} is {shown(check)}, which is not a function"
            raise InvalidOption(msg)
        self.check = check
        return check

    def _check_parameters(self, function: Callable[..., Any]) -> None:
        needed = needed_parameter(function)
        if needed is not None:
            msg = (
                f"resource {self.name!r} has the parameter {needed!r}, which nothing fills in; "
                f"write {needed} = inject(...), or give it a default"
            )
            raise InvalidOption(msg)
        short = [each.name for each in self.needs.values() if each.scope == "run"]
        if short and self.scope == "worker":
            msg = (
                f"resource {self.name!r} is one for the worker and needs {short[0]!r}, which is "
                "one for each activation; give it scope='run', too"
            )
            raise InvalidOption(msg)


def supplier_of(resource: Resource[Any]) -> Supplier:
    """Give what has its value in this process; raises ResourceNotOpen where nothing has."""
    if not resource.suppliers:
        raise ResourceNotOpen(resource.name)
    return resource.suppliers[-1]


class Injection:
    """Stands where a function declares that it wants a resource; see `inject`."""

    __slots__ = ("resource",)

    def __init__(self, resource: Resource[Any]) -> None:
        self.resource = resource

    def __repr__(self) -> str:
        return f"inject({self.resource.name})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python itself asks
            raise AttributeError(name)
        raise ResourceNotOpen(self.resource.name)


def inject(resource: Resource[T]) -> T:
    """
    Give a parameter the value of *resource*.

    `async def charge(order: Order, db: Pool = inject(pool))` is callable without its *db*: workers
    and harnesses pass it, to steps, runners, jobs, hooks and other resources. Whoever calls the
    function as usual, such as a test, passes it.
    """
    given: object = resource
    if not isinstance(given, Resource):
        msg = f"inject was given {shown(resource)}; give it what @app.resource made"
        raise InvalidOption(msg)
    return cast("T", Injection(resource))


def injections(function: Any) -> dict[str, Resource[Any]]:
    """Give the resources that *function* asks for, by the parameter."""
    if type(function) is FunctionType and not (
        function.__defaults__ or function.__kwdefaults__ or hasattr(function, "__wrapped__")
    ):
        return {}  # most: no signature is made for them
    try:
        parameters = own_signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin that does not say, or a mock
        return {}
    found = {each.name: each for each in parameters if is_injected(each)}
    for name, each in found.items():
        if each.kind is each.POSITIONAL_ONLY:
            called = getattr(function, "__name__", type(function).__name__)
            msg = f"{called} takes {name!r} by position only, and resources are passed by name"
            raise InvalidOption(msg)
    return {name: each.default.resource for name, each in found.items()}


def is_injected(parameter: inspect.Parameter) -> bool:
    """Whether the worker fills a parameter in."""
    return type(parameter.default) is Injection

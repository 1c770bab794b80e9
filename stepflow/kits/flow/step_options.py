"""How a function runs as a step: what it was declared with, what undoes it, what it returns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from stepflow.core.backoff import RetryPolicy
from stepflow.core.ids import check_version
from stepflow.engine.user_code.arguments import result_reader
from stepflow.errors import InvalidOption, shown
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Breaker
    from stepflow.core.limits.limit import LimitRequest

T = TypeVar("T")

#: where a function carries its declaration; `functools.wraps` takes it along
_MARK = "__stepflow_step__"
#: things made for types that are kept at most: a workflow that makes classes as it runs must not
#: fill the worker
_MOST_TYPES = 1000
#: shapes of arguments kept for one function, which may take any number of them
_MOST_SHAPES = 100


@dataclass(frozen=True, slots=True)
class Cache:
    """How long a step's value is shared, in seconds; *version* is that of what computes it."""

    lasts_s: float
    version: int = 1

    def __post_init__(self) -> None:
        if self.lasts_s <= 0:
            msg = f"cache of a step is {self.lasts_s}; it must be above 0 seconds"
            raise InvalidOption(msg)


@dataclass(frozen=True, slots=True)
class DeclaredStep:
    """The options of `@app.step`, which `ctx.step` may override; *timeout_s* is of one attempt."""

    name: str | None = None
    retry: RetryPolicy | None = None
    timeout_s: float | None = None
    compensate: Callable[..., Any] | None = None
    queue: str | None = None
    breaker: Breaker | None = None
    cache: Cache | None = None
    limits: tuple[LimitRequest, ...] = ()
    #: the runner it is registered as, for steps on another queue
    runner: str = ""
    #: what is called in its place: it runs the function in a child process
    runs: Callable[..., Any] | None = None


#: what a function that was not declared says
UNDECLARED = DeclaredStep()


def cache_of(lasts: float | timedelta | None, version: int) -> Cache | None:
    """Say how long the values of a declared step are shared; None for not at all."""
    check_version(version)
    if lasts is None:
        return None
    return Cache(seconds(lasts, "cache of @app.step"), version)


def check_breaker(breaker: object, what: str) -> None:
    """Refuse what is no Breaker, with an InvalidOption that names *what*."""
    from stepflow.core.breakers.breaker import Breaker  # noqa: PLC0415  wanted by few

    if not isinstance(breaker, Breaker):
        msg = f"breaker of {what} is {shown(breaker)}; write breaker=Breaker('name')"
        raise InvalidOption(msg)


@dataclass(frozen=True, slots=True)
class Compensation:
    """What undoes a step: *function* is called with the step's value, tried by *policy*."""

    function: Callable[[Any], Any]
    policy: RetryPolicy
    #: seconds, of one attempt
    timeout_s: float | None = None


def declare(function: Callable[..., Any], options: DeclaredStep) -> None:
    """Have *function* carry *options*; it stays the function it is."""
    if options.timeout_s is not None and options.timeout_s <= 0:
        msg = (
            f"timeout of step {function!r} is {options.timeout_s}; "
            "it must be above 0 seconds, or None"
        )
        raise InvalidOption(msg)
    try:
        setattr(function, _MARK, options)
    except AttributeError:
        msg = f"@app.step cannot mark {function!r}; put it above a def of your own that calls it"
        raise InvalidOption(msg) from None


def options_of(function: Callable[..., Any]) -> DeclaredStep:
    """Return what *function* was declared with."""
    found = getattr(function, _MARK, UNDECLARED)
    return found if isinstance(found, DeclaredStep) else UNDECLARED


def step_name(function: Callable[..., Any]) -> str:
    """Name a step that was given no name: as it was declared, else as the function is called."""
    own: str = getattr(function, "__name__", type(function).__name__)
    return options_of(function).name or own


def compensation_of(
    function: Callable[[Any], Any], policy: RetryPolicy, timeout_s: float | None
) -> Compensation:
    """
    Say how *function* undoes a step that has *policy* and *timeout_s*.

    What it was declared with itself beats these.
    """
    own = options_of(function)
    return Compensation(function, own.retry or policy, own.timeout_s or timeout_s)


@dataclass(frozen=True, slots=True)
class KnownFunction:
    """
    What is known of a function: *read* turns its value into the type that it declares.

    *own* is what it was declared with, *shapes* has the shapes of arguments with which it has been
    called before, and may be again: their number, or that with its type and the keywords.
    """

    read: Callable[[Any], Any]
    own: DeclaredStep
    shapes: set[int | tuple[Any, ...]] = field(default_factory=set)

    def learn(self, shape: int | tuple[Any, ...]) -> None:
        """Note that the function takes arguments of *shape*."""
        if len(self.shapes) >= _MOST_SHAPES:
            self.shapes.clear()
        self.shapes.add(shape)


class Readers:
    """
    What turns remembered values into types, made once for all activations of a workflow.

    Keeps no function alive: one that is made anew in each activation goes with that activation,
    and all it holds goes with it.
    """

    def __init__(self) -> None:
        #: by the id of a function, which is looked up faster than a weak key
        self._by_function: dict[int, tuple[ref[Any], KnownFunction]] = {}
        self._by_type: dict[Any, Any] = {}

    def of(self, function: Callable[..., Any]) -> KnownFunction:
        """Return what is known of *function*."""
        key: Any = function
        if type(function) is not FunctionType:
            # a method is another object each time it is looked up; the function below it is not
            key = getattr(function, "__func__", function)
        found = self._by_function.get(id(key))
        if found is not None and found[0]() is key:  # else the id was that of one which is gone
            return found[1]
        known = KnownFunction(result_reader(function), options_of(function))
        with suppress(TypeError):  # it takes no weak reference
            there = ref(key, partial(_forget, self._by_function, id(key)))
            self._by_function[id(key)] = there, known
        return known

    def known(self, key: Any, make: Callable[[], T]) -> T:
        """Return what is made once for *key*, a type or something with types in it."""
        try:
            found: T | None = self._by_type.get(key)
        except TypeError:  # not hashable, such as an Annotated with a list in it
            return make()
        if found is None:
            if len(self._by_type) >= _MOST_TYPES:
                self._by_type.clear()
            found = self._by_type[key] = make()
        return found


def _forget(known: dict[int, tuple[ref[Any], KnownFunction]], number: int, gone: ref[Any]) -> None:
    """Forget a function that is gone; its id may be another's by now."""
    found = known.get(number)
    if found is not None and found[0] is gone:
        del known[number]

"""
What turns remembered values into the types a workflow asks for, made once for all its activations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from stepflow.engine.user_code.arguments import result_reader

T = TypeVar("T")

#: things made for types that are kept at most: a workflow that makes classes as it runs must not
#: fill the worker
MOST = 1000


class Readers:
    """
    Readers by function and by type.

    Keeps no function alive: one that is made anew in each activation, with all it holds, goes with
    that.
    """

    def __init__(self) -> None:
        self._by_function: WeakKeyDictionary[Any, Callable[[Any], Any]] = WeakKeyDictionary()
        self._by_type: dict[Any, Any] = {}

    def of(self, function: Callable[..., Any]) -> Callable[[Any], Any]:
        """Give the reader of what *function* returns, by its annotation."""
        key = getattr(
            function, "__func__", function
        )  # a method is another object each time it is looked up
        try:
            reader = self._by_function.get(key)
            if reader is None:
                reader = self._by_function[key] = result_reader(function)
        except TypeError:  # it cannot be looked up, or no weak reference can be had
            return result_reader(function)
        return reader

    def known(self, key: Any, make: Callable[[], T]) -> T:
        """Give what is made once for *key*, a type or something with types in it."""
        try:
            found: T | None = self._by_type.get(key)
        except TypeError:  # not hashable, such as an Annotated with a list in it
            return make()
        if found is None:
            if len(self._by_type) >= MOST:
                self._by_type.clear()
            found = self._by_type[key] = make()
        return found

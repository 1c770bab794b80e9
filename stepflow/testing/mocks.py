"""Mocks by step name: what a step gives instead of calling its function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from stepflow.engine.user_code.calls import is_async, settled

#: how much of two names is the same, of 1, where one may be the other mistyped
_ALMOST = 0.8


@dataclass(slots=True)
class Mock:
    """
    Replaces the functions of the steps called *name*, in which `*` matches anything.

    *answer* is a value, an exception to raise, or a function to call with the step's arguments.
    `calls` lists the arguments of every call: (arguments, arguments by keyword).
    """

    name: str
    answer: Any
    calls: list[tuple[Sequence[Any], Mapping[str, Any]]] = field(default_factory=list)
    #: whether a test may do without it
    optional: bool = False

    def stands_for(self, name: str) -> bool:
        """Whether it replaces a step called *name*."""
        return name == self.name or fnmatchcase(name, self.name)

    async def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Record one call and answer it."""
        self.calls.append((args, kwargs))
        answer = self.answer
        if isinstance(answer, BaseException) or (
            isinstance(answer, type) and issubclass(answer, BaseException)
        ):
            raise answer
        if not callable(answer):
            return answer
        made: Callable[..., Any] = answer
        return await settled(
            await made(*args, **kwargs) if is_async(made) else made(*args, **kwargs)
        )


def find_mistyped(
    mocks: Sequence[Mock], called: Iterable[str], called_for_real: Iterable[str]
) -> dict[str, str]:
    """
    Return the name of each mock that stood for no step, with the step that it may have meant.

    That one called its own function, and its name is almost the same; other numbers are no mistake.
    """
    names, meant = list(called), {}
    for mock in mocks:
        if mock.optional or any(map(mock.stands_for, names)):
            continue
        near = [
            name for name in called_for_real if _without_digits(name) != _without_digits(mock.name)
        ]
        for name in get_close_matches(mock.name, near, n=1, cutoff=_ALMOST):
            meant[mock.name] = name
    return meant


def _without_digits(name: str) -> str:
    return "".join(sign for sign in name if not sign.isdigit())

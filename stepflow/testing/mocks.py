"""Mocks by step name: what a step gives instead of calling its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from stepflow.engine.user_code.calls import is_async, settled


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

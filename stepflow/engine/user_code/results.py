"""The declared result of a workflow: checked when it returns, and the type as which it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepflow.core.outcomes import Outcome
from stepflow.engine.user_code.arguments import ResultReader, result_reader
from stepflow.errors import InvalidOption, ResultMismatch
from stepflow.store.values.codec import pack, unpack


class DeclaredResult:
    """
    What *function* says that it returns.

    An annotation is read when it is declared, so that one which cannot be validated is refused
    there (InvalidOption); one that names what is defined further down, when it is first needed.
    One with names that are there for a type checker only is not checked.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._reader: ResultReader | None = None
        self._is_resolved = self._resolve()

    def _resolve(self) -> bool:
        found = result_reader(self._function)
        if isinstance(found, ResultReader):
            self._reader = found
            return True
        try:
            return not isinstance(self._function.__annotations__.get("return"), str)
        except Exception:  # noqa: BLE001  an annotation is user code: it may raise anything
            return True

    @property
    def says_something(self) -> bool:
        """Whether there is anything to check."""
        if not self._is_resolved:
            self._resolve()
            self._is_resolved = True
        return self._reader is not None

    def read(self, result: Any) -> Any:
        """Turn a plain result into the type; raises UnreadableValue."""
        return self._reader(result) if self.says_something and self._reader else result

    def check(self, result: Any) -> None:
        """Raise ResultMismatch for a result that does not read back as the type."""
        if not self.says_something or self._reader is None or isinstance(result, Outcome):
            return
        stored = unpack(pack(result, what="the result", in_clear=True))
        try:
            problem = self._reader.problem(stored)
        except InvalidOption:  # it has names that are only there for a type checker
            self._reader = None
            return
        if problem is not None:
            raise ResultMismatch(_name(self._function), result, problem)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)

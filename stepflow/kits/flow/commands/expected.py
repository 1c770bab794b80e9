"""
What a workflow expects a signal or an answer to be.

That is how it is read, and the JSON schema that its sender is held to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from stepflow.engine.user_code.arguments import reader_for
from stepflow.engine.user_code.schema import check_schema, schema_of
from stepflow.errors import InvalidOption


class ExpectedType:
    """A type that is expected; *what* names it in errors."""

    def __init__(self, what: str, kind: Any) -> None:
        self._kind = kind
        self.read: Callable[[Any], Any] | None = reader_for(what, kind)

    @cached_property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of the type; None for one that has none."""
        return schema_of(self._kind)


class ExpectedAnswer(ExpectedType):
    """
    What an answer has to be, by a JSON schema or a type that has one; None stands for anything.

    Raises InvalidOption.
    """

    def __init__(self, kind: Any) -> None:
        super().__init__("ctx.ask", None if isinstance(kind, Mapping) else kind)
        if isinstance(kind, Mapping):
            check_schema(kind)
            self.read, self.schema = None, dict(kind)
        elif kind is None:
            self.schema = {}
        elif self.schema is None:
            msg = (
                f"ctx.ask for {kind!r}: this type has no JSON schema; pass one, or a type that has"
            )
            raise InvalidOption(msg)

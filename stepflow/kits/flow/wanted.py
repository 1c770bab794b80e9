"""What a workflow wants a signal or an answer to be: how it is read, and the JSON schema that its sender is held to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from stepflow.engine.schema import schema_of
from stepflow.engine.typed import reader_for


class Wanted:
    """A type that is wanted; *what* names it in errors."""

    def __init__(self, what: str, kind: Any) -> None:
        self._kind = kind
        self.read: Callable[[Any], Any] = reader_for(what, kind)

    @cached_property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of the type; None for one that has none."""
        return schema_of(self._kind)

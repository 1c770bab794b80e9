"""
Values of user code held against its annotations.

Of a subclass's fields the reader of an annotation knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.core.outcomes import Outcome
from stepflow.errors import UnsupportedValue
from stepflow.store.values.annotations import kind_of
from stepflow.store.values.kinds import LEAVES, Kind


def hold_against(kind: Kind, value: Any, what: str) -> None:
    """
    Raise UnsupportedValue, with the path from *what* on, when *value* holds more than its
    annotation's *kind* reads.
    """
    if type(value) in LEAVES or kind.is_safe or isinstance(value, Outcome):
        return
    found = kind.loss(value)
    if found is not None:
        raise UnsupportedValue(what + found.where, found.why, found.advice)


def hold_arguments(arguments: Mapping[str, Any], hints: Mapping[str, Any], function: str) -> None:
    """Do so with the arguments that a function is to be called with elsewhere."""
    for name, value in arguments.items():
        if name in hints and type(value) not in LEAVES:
            hold_against(kind_of(hints[name]), value, f"argument {name!r} of {function!r}")

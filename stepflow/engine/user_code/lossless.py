"""
Values of user code, checked against its annotations before they are packed.

Whoever reads a value back by its annotation loses the fields that a subclass adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.core.outcomes import Outcome
from stepflow.errors import UnsupportedValue
from stepflow.store.values.annotations import kind_of
from stepflow.store.values.kinds import LEAVES, Kind


def check_lossless(kind: Kind, value: Any, what: str) -> None:
    """
    Raise UnsupportedValue when *value* has more in it than its annotation's *kind* reads.

    The error names the path to it, from *what* on.
    """
    if type(value) in LEAVES or kind.is_safe or isinstance(value, Outcome):
        return
    found = kind.loss(value)
    if found is not None:
        raise UnsupportedValue(what + found.where, found.why, found.advice)


def check_arguments(arguments: Mapping[str, Any], hints: Mapping[str, Any], function: str) -> None:
    """Check the arguments of a call that another process will carry out."""
    for name, value in arguments.items():
        if name in hints and type(value) not in LEAVES:
            check_lossless(kind_of(hints[name]), value, f"argument {name!r} of {function!r}")

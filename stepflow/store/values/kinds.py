"""
Kinds model annotations, to find what a reader who knows only these would silently drop.

A field annotated `Base` that holds a `Sub(Base)` with more fields is read back as a `Base`. Kinds
that cannot hold such a value are *safe* and cost nothing. `annotations.py` creates kinds.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple, Protocol
from uuid import UUID

#: types whose values contain no other values
LEAVES = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray}
    | {datetime, date, time, timedelta, Decimal, UUID}
)

#: containers: annotations say what they contain
_HOLDERS = (Mapping, list, tuple, set, frozenset)

#: how many lost fields an error names
_SHOWN = 5


def path_segment(key: Any) -> str:
    """Return the path segment for *key*, such as `.name` or `[3]`."""
    return (
        f".{key}"
        if isinstance(key, str) and re.fullmatch(r"[^\W\d]\w{0,79}", key)
        else f"[{reprlib.repr(key)}]"
    )


def has_fields(value: Any) -> bool:
    """Return whether a value is an instance of a dataclass or a pydantic model."""
    cls = type(value)
    return hasattr(cls, "__dataclass_fields__") or hasattr(cls, "__pydantic_fields_set__")


class Loss(NamedTuple):
    """What would be lost: the path to it, the reason, and advice for the user."""

    where: str
    why: str
    advice: str = "annotate it as what it is, or pass only what the annotation says"

    def under(self, step: str) -> Loss:
        """Return this loss with *step* in front of its path."""
        return self._replace(where=step + self.where)


class Kind:
    """What an annotation stands for; the base class is for scalars, such as an int."""

    #: whether values of this kind can lose nothing
    is_safe = True

    def admits(self, value: Any) -> bool:
        """Return whether a value may be of this kind."""
        return not has_fields(value) and not isinstance(value, _HOLDERS)

    def loss(self, value: Any) -> Loss | None:
        """Return what a reader would drop of *value*, or None."""
        del value
        return None

    def is_lossless(self, values: Iterable[Any], classes: set[type]) -> bool:
        """Return whether *values*, all of these *classes*, are known to lose nothing; fast."""
        del values, classes
        return False


class Anything(Kind):
    """
    A value that is read back as it was written.

    With *record_of*, the records that it contains are checked as well.
    """

    def __init__(self, record_of: Callable[[type], Kind | None] | None = None) -> None:
        self._record_of = record_of
        self.is_safe = record_of is None

    def admits(self, value: Any) -> bool:
        del value
        return True

    def loss(self, value: Any) -> Loss | None:
        kind = type(value)
        if self._record_of is None or kind in LEAVES:
            return None
        if isinstance(value, _HOLDERS):
            return _first_loss(value, self)
        record = self._record_of(kind)
        return None if record is None else record.loss(value)


class _Known(Kind):
    """
    A kind whose values are instances of one class.

    Values of other classes are checked by *otherwise*.
    """

    is_safe = False

    def __init__(self, cls: type, otherwise: Kind) -> None:
        self.cls = cls
        self.otherwise = otherwise

    def admits(self, value: Any) -> bool:
        return isinstance(value, self.cls)


class Items(_Known):
    """A list, map or other container whose values are all of one kind."""

    def __init__(self, cls: type, inner: Kind, otherwise: Kind) -> None:
        super().__init__(cls, otherwise)
        self._inner = inner

    def admits(self, value: Any) -> bool:
        return (
            isinstance(value, self.cls)
            and hasattr(value, "__len__")
            and not isinstance(value, str | bytes)
        )

    def loss(self, value: Any) -> Loss | None:
        return _first_loss(value, self._inner) if self.admits(value) else self.otherwise.loss(value)


class Parts(_Known):
    """A tuple or map with one kind per position or key."""

    def __init__(self, cls: type, parts: Mapping[Any, Kind], otherwise: Kind) -> None:
        super().__init__(cls, otherwise)
        self._parts = {key: kind for key, kind in parts.items() if not kind.is_safe}

    def loss(self, value: Any) -> Loss | None:
        if not self.admits(value):
            return self.otherwise.loss(value)
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            if key in self._parts and (found := self._parts[key].loss(item)) is not None:
                return found.under(path_segment(key))
        return None


class Either(Kind):
    """A union: nothing is lost if one member admits the value without loss."""

    is_safe = False

    def __init__(self, members: Iterable[Kind], otherwise: Kind) -> None:
        self._members = tuple(members)
        self._otherwise = otherwise

    def admits(self, value: Any) -> bool:
        return any(member.admits(value) for member in self._members)

    def loss(self, value: Any) -> Loss | None:
        if type(value) in LEAVES:
            return None
        fitting = [member for member in self._members if member.admits(value)]
        if not fitting and has_fields(value):
            fitting = [member for member in self._members if isinstance(member, Record)]
        losses = [member.loss(value) for member in fitting]
        if not losses:
            return self._otherwise.loss(value)
        return None if None in losses else losses[0]


class ExtraCheck(Protocol):
    """A check that a record's class needs besides those of its fields."""

    def loss(self, value: Any) -> Loss | None:
        """Return what *value* would lose, or None."""

    def is_lossless(self, values: Iterable[Any]) -> bool:
        """Return whether *values* are known to lose nothing; fast."""


class Record(_Known):
    """
    A dataclass or pydantic model.

    *names* returns the field names of any record class, *fields* the fields of this one with their
    kinds, and *extra_check* one more check. *deep* is whether a value of exactly this class is
    checked inside: it is not where such a value is packed, and checked, by itself.
    """

    def __init__(
        self,
        cls: type,
        otherwise: Kind,
        *,
        names: Callable[[type], frozenset[str]],
        fields: Callable[[], Iterable[tuple[str, Kind]]],
        extra_check: Callable[[], ExtraCheck | None],
        deep: bool,
    ) -> None:
        super().__init__(cls, otherwise)
        self._names = names
        self._made_by = fields
        self._make_extra_check = extra_check
        self._deep = deep
        #: fields that do not appear in the path to what they contain
        self._bare = {
            "__pydantic_extra__",
            "root" if getattr(cls, "__pydantic_root_model__", False) else "",
        }

    @cached_property
    def fields(self) -> tuple[tuple[str, Kind], ...]:
        """
        The fields that may hold more than their annotations say.

        Computed on first use, since classes may refer to each other.
        """
        return tuple((name, kind) for name, kind in self._made_by() if not kind.is_safe)

    @cached_property
    def _extra_check(self) -> ExtraCheck | None:
        return self._make_extra_check()

    def loss(self, value: Any) -> Loss | None:
        if type(value) is self.cls:
            return self.loss_in_fields(value) if self._deep else None
        if not has_fields(value):
            return self.otherwise.loss(value)
        extra = getattr(value, "__pydantic_extra__", None) or ()
        if lost := (self._names(type(value)) - self._names(self.cls)) | frozenset(extra):
            shown = ", ".join(map(repr, sorted(lost)[:_SHOWN])) + (
                " ..." if len(lost) > _SHOWN else ""
            )
            made, wanted = type(value).__name__, self.cls.__name__
            return Loss(
                "",
                f"it is a {made}, annotated as {wanted}, which has no {shown}: that would be lost",
            )
        return (
            self.loss_in_fields(value)
            if isinstance(value, self.cls)
            else self.otherwise.loss(value)
        )

    def is_lossless(self, values: Iterable[Any], classes: set[type]) -> bool:
        if classes != {self.cls} or self.fields:
            return False
        return not self._deep or (
            self._extra_check is not None and self._extra_check.is_lossless(values)
        )

    def loss_in_fields(self, value: Any) -> Loss | None:
        """Return what the fields of *value* would lose if it is read as this class, or None."""
        if self._extra_check is not None and (found := self._extra_check.loss(value)) is not None:
            return found
        for name, kind in self.fields:
            content = getattr(value, name, None)
            if type(content) not in LEAVES and (found := kind.loss(content)) is not None:
                return found if name in self._bare else found.under(f".{name}")
        return None


def _first_loss(value: Any, kind: Kind) -> Loss | None:
    """Return the first loss among the members of a container or the values of a map."""
    is_map = isinstance(value, Mapping)
    members = value.values() if is_map else value
    classes = set(map(type, members))  # runs in C, as does the test below
    if classes <= LEAVES or kind.is_lossless(members, classes):
        return None
    for key, item in value.items() if is_map else enumerate(value):
        if type(item) not in LEAVES and (found := kind.loss(item)) is not None:
            return found.under(path_segment(key))
    return None

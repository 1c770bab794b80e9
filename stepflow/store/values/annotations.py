"""Turns annotations into kinds, once per class, from what `typing` and pydantic know about it."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from stepflow.store.values.kinds import Anything, Either, Items, Kind, Parts, Record
from stepflow.store.values.models import annotations_of, extra_check_of, is_model

#: annotations that only qualify the one they wrap
_WRAPPERS = {"ClassVar", "Final", "Required", "NotRequired", "ReadOnly"}
#: pydantic metadata with which users serialize a field themselves
_SERIALIZERS = {"PlainSerializer", "WrapSerializer"}

_FREE = Anything()


def is_record(cls: type) -> bool:
    """Return whether a class is a dataclass or a pydantic model."""
    return dataclasses.is_dataclass(cls) or is_model(cls)


@lru_cache(maxsize=4096)
def record_of(cls: type, *, deep: bool) -> Record:
    """
    Return the kind of a dataclass or model.

    With *deep*, values of exactly that class are checked inside as well.
    """
    return _record(cls, {}, deep=deep)


def kind_of(hint: Any, *, deep: bool = False) -> Kind:
    """
    Return the kind that an annotation stands for.

    Pass *deep* for a value that is serialized with everything it contains, as a model dumps itself.
    Otherwise each contained value is serialized, and checked, by its own class.
    """
    if hint is Any or hint is object or isinstance(hint, str | typing.ForwardRef):
        return _anything(deep=deep)
    if isinstance(hint, typing.TypeVar):
        return _either(hint.__constraints__ or (hint.__bound__ or Any,), deep=deep)
    if type(hint).__name__ == "TypeAliasType":
        return kind_of(hint.__value__, deep=deep)
    if hasattr(hint, "__supertype__"):  # a NewType
        return kind_of(hint.__supertype__, deep=deep)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return _of_class(hint, deep=deep) if isinstance(hint, type) else Kind()
    if origin is typing.Annotated:
        return kind_marked(args[0], hint.__metadata__, deep=deep)
    if origin in (typing.Union, types.UnionType):
        return _either(args, deep=deep)
    if getattr(origin, "_name", None) in _WRAPPERS:
        return kind_of(args[0], deep=deep)
    return _of_generic(origin, args, deep=deep) if isinstance(origin, type) else Kind()


def kind_marked(hint: Any, marks: Iterable[Any], *, deep: bool) -> Kind:
    """
    Return the kind of an annotation with metadata.

    What the user's own serializer writes is not checked.
    """
    names = {type(mark).__name__ for mark in marks}
    if names & _SERIALIZERS:
        return _FREE
    return _anything(deep=deep) if "SerializeAsAny" in names else kind_of(hint, deep=deep)


@lru_cache(maxsize=2)
def _anything(*, deep: bool) -> Kind:
    return (
        Anything(lambda cls: record_of(cls, deep=True) if is_record(cls) else None)
        if deep
        else _FREE
    )


@lru_cache(maxsize=4096)
def _names(cls: type) -> frozenset[str]:
    if is_model(cls):
        return frozenset(cls.model_fields)  # type: ignore[attr-defined]
    return frozenset(field.name for field in dataclasses.fields(cls))


def _record(cls: type, given: Mapping[Any, Any], *, deep: bool) -> Record:
    def fields() -> Iterable[tuple[str, Kind]]:
        if is_model(cls):
            return [
                (name, kind_marked(hint, marks, deep=deep))
                for name, hint, marks in annotations_of(cls)
            ]
        hints = _hints(cls)
        return [
            (name, kind_of(_filled(hints.get(name, Any), given), deep=deep)) for name in _names(cls)
        ]

    return Record(
        cls,
        _anything(deep=deep),
        names=_names,
        fields=fields,
        extra_check=lambda: extra_check_of(cls) if is_model(cls) else None,
        deep=deep or bool(given),  # only the holder knows the type arguments
    )


def _hints(cls: type) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001  annotations are user code and may fail
        return {}


def _filled(hint: Any, given: Mapping[Any, Any]) -> Any:
    """Substitute the type arguments of a generic dataclass in a field's annotation."""
    if not given:
        return hint
    if isinstance(hint, typing.TypeVar):
        return given.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ()) if typing.get_origin(hint) is not None else ()
    return hint[tuple(given.get(each, each) for each in parameters)] if parameters else hint


def _either(hints: Iterable[Any], *, deep: bool) -> Kind:
    members = [kind_of(hint, deep=deep) for hint in hints]
    if len(members) == 1:
        return members[0]
    return (
        Kind()
        if all(member.is_safe for member in members)
        else Either(members, _anything(deep=deep))
    )


def _of_class(cls: type, *, deep: bool) -> Kind:
    if is_record(cls):
        return record_of(cls, deep=deep)
    if (
        typing.is_typeddict(cls) or type(cls).__name__ == "_TypedDictMeta"
    ):  # that of typing_extensions, too
        return _parts(dict, _hints(cls), deep=deep)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        hints = _hints(cls)
        return _parts(
            tuple,
            {index: hints.get(name, Any) for index, name in enumerate(cls._fields)},
            deep=deep,
        )
    return (
        _anything(deep=deep)
        if issubclass(cls, Iterable) and not issubclass(cls, str | bytes)
        else Kind()
    )


def _of_generic(origin: type, args: tuple[Any, ...], *, deep: bool) -> Kind:
    if is_record(origin):
        return _record(
            origin, dict(zip(getattr(origin, "__parameters__", ()), args, strict=False)), deep=deep
        )
    if issubclass(origin, tuple) and not (len(args) == 2 and args[1] is Ellipsis):  # noqa: PLR2004
        return _parts(tuple, dict(enumerate(args)), deep=deep)
    if not issubclass(origin, Iterable) or not args:
        return Kind()
    inner = kind_of(args[-1] if issubclass(origin, Mapping) else args[0], deep=deep)
    return Kind() if inner.is_safe else Items(origin, inner, _anything(deep=deep))


def _parts(cls: type, hints: Mapping[Any, Any], *, deep: bool) -> Kind:
    kinds = {key: kind_of(hint, deep=deep) for key, hint in hints.items()}
    is_safe = all(kind.is_safe for kind in kinds.values())
    return Kind() if is_safe else Parts(cls, kinds, _anything(deep=deep))

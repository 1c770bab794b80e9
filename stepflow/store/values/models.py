"""
What pydantic models lose when they are serialized, apart from what their annotations show.

Recognizes pydantic's classes without importing it: if a value is a model, pydantic is loaded.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from stepflow.store.values.kinds import Loss

#: the attribute with the values that a model got beyond its fields
EXTRA = "__pydantic_extra__"
_VALUES = attrgetter("__dict__")
#: start of pydantic's error when a value does not match its annotation
WARNED = "Pydantic serializer warnings"


def is_model(cls: type) -> bool:
    """Return whether a class is a pydantic model."""
    base = getattr(sys.modules.get("pydantic.main"), "BaseModel", None)
    return base is not None and issubclass(cls, base)


def annotations_of(cls: Any) -> Iterable[tuple[str, Any, Iterable[Any]]]:
    """
    Return name, annotation and metadata of each field that pydantic serializes itself.

    Leaves out the fields with a serializer of the user's.
    """
    own = _own_serializers(cls)
    if own is None:
        return []
    fields = [
        (name, info.annotation, info.metadata)
        for name, info in cls.model_fields.items()
        if name not in own
    ]
    if cls.model_config.get("extra") == "allow":
        extras = inspect.get_annotations(cls).get(EXTRA, Any)
        fields.append((EXTRA, Any if isinstance(extras, str) else extras, ()))
    return fields


class ModelCheck:
    """Finds unset fields, excluded fields with a value, and private attributes set by hand."""

    def __init__(self, cls: Any) -> None:
        fields = cls.model_fields
        self._name = cls.__name__
        self._fields = fields.keys()
        self._hidden = {
            name: info
            for name, info in fields.items()
            if info.exclude or getattr(info, "exclude_if", None)
        }
        self._private = {} if _sets_private_itself(cls) else cls.__private_attributes__

    def loss(self, value: Any) -> Loss | None:
        """Return what *value* would lose, or None."""
        content = value.__dict__
        if not content.keys() >= self._fields:
            name = min(self._fields - content.keys())
            return Loss(
                f".{name}",
                f"a {self._name} with a field that was never set cannot be stored",
                "set it",
            )
        for name, info in self._hidden.items():
            if (info.exclude or info.exclude_if(content[name])) and not _is_default(
                info, content[name], content
            ):
                return Loss(
                    f".{name}",
                    "it is excluded from what is written, and would be lost",
                    "leave it at its default",
                )
        return _private_loss(self._private, value.__pydantic_private__) if self._private else None

    def is_lossless(self, values: Iterable[Any]) -> bool:
        """Return whether *values* are known to lose nothing; fast."""
        if self._hidden or self._private:
            return False
        return set(map(len, map(_VALUES, values))) == {len(self._fields)}


def extra_check_of(cls: Any) -> ModelCheck | None:
    """
    Return the additional check for models of *cls*.

    None if the user's own serializer writes the whole model.
    """
    return None if _own_serializers(cls) is None else ModelCheck(cls)


def find_misfit(value: Any) -> tuple[str, Any] | None:
    """
    Return the path and value of the innermost field that pydantic warns about.

    None if no single field causes the warning.
    """
    for name in type(value).model_fields:
        try:
            value.model_dump(include={name}, round_trip=True, by_alias=False, warnings="error")
        except (TypeError, ValueError, RecursionError):
            content = value.__dict__.get(name)
            step = "" if getattr(type(value), "__pydantic_root_model__", False) else f".{name}"
            inner = find_misfit(content) if is_model(type(content)) else None
            return (step, content) if inner is None else (step + inner[0], inner[1])
    return None


def _own_serializers(cls: Any) -> set[str] | None:
    """
    Return the names of the fields that the user's own serializers write.

    None if one of them writes the whole model.
    """
    made = cls.__pydantic_decorators__
    if made.model_serializers:
        return None
    named = {name for each in made.field_serializers.values() for name in each.info.fields}
    return set(cls.model_fields) if "*" in named else named


def _is_default(info: Any, content: Any, given: dict[str, Any]) -> bool:
    if info.is_required():
        return False
    try:
        return bool(info.get_default(call_default_factory=True, validated_data=given) == content)
    except BaseException:  # noqa: BLE001  a factory or an __eq__ of user code
        return False


def _sets_private_itself(cls: Any) -> bool:
    """
    Return whether a class has code that may set private attributes on creation.

    They are working state then, not data.
    """
    hooks = (cls.model_post_init, cls.__init__)
    theirs = all((getattr(hook, "__module__", None) or "").startswith("pydantic") for hook in hooks)
    return not theirs or bool(cls.__pydantic_decorators__.model_validators)


def _private_loss(attributes: dict[str, Any], private: dict[str, Any] | None) -> Loss | None:
    """
    Return the loss of a private attribute that was set by hand.

    Defaults do not count, nor objects that are new each time, such as locks.
    """
    for name, content in (private or {}).items():
        if name in attributes and not _is_initial(attributes[name], content):
            return Loss(
                f".{name}",
                "it is a private attribute, which is not written, and would be lost",
                "make it a field",
            )
    return None


def _is_initial(attribute: Any, content: Any) -> bool:
    make = attribute.default_factory
    if make is None:
        return _is_like(content, attribute.default)
    try:
        fresh, another = make(), make()
    except BaseException:  # noqa: BLE001  a factory of user code, which may want the model's data
        return True
    return _is_like(content, fresh) or not _is_like(fresh, another)


def _is_like(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except BaseException:  # noqa: BLE001  an __eq__ of user code
        return False

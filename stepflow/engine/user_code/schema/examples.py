"""JSON schemas for people: what fits one, in a few words, and a value that does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: schemas within schemas that are looked at, and choices or fields that words name
_DEEP, _MANY = 4, 6
#: a value of each of JSON's types, as short as it can be
_SHORTEST: Mapping[str, Any] = {
    "boolean": True, "string": "...", "integer": 1, "number": 1.5, "null": None,
    "array": [], "object": {},
}  # fmt: skip


def in_words(schema: Mapping[str, Any]) -> str:
    """
    Say what fits *schema*: "boolean", "'red' or 'blue'", "object with approved".

    Empty where everything does, or where a few words cannot say it.
    """
    return _in_words(schema, schema, 0)


def example_of(schema: Mapping[str, Any]) -> str:
    """
    Give JSON that fits *schema* as far as its types, its choices and its required fields go.

    Empty where the schema does not say what it wants.
    """
    found = _example(schema, schema, 0)
    return "" if found is _NONE else json.dumps(found, ensure_ascii=False)


_NONE = object()


def _in_words(schema: Any, whole: Mapping[str, Any], depth: int) -> str:
    schema = _resolved(schema, whole)
    if depth > _DEEP or not schema:
        return ""
    if choices := _choices(schema):
        more = " ..." if len(choices) > _MANY else ""
        return " or ".join(map(repr, choices[:_MANY])) + more
    if either := _either(schema):
        said = [_in_words(each, whole, depth + 1) for each in either]
        return " or ".join(dict.fromkeys(said)) if all(said) else ""
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(map(str, kind))
    required = _required(schema)
    if kind == "object" and required:
        return f"object with {', '.join(required[:_MANY])}"
    return kind if isinstance(kind, str) else ""


def _example(schema: Any, whole: Mapping[str, Any], depth: int) -> Any:
    schema = _resolved(schema, whole)
    if depth > _DEEP or not schema:
        return _NONE
    if choices := _choices(schema):
        return choices[0]
    if either := _either(schema):
        return _example(either[0], whole, depth + 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind != "object":
        return _SHORTEST.get(kind, _NONE) if isinstance(kind, str) else _NONE
    fields = schema.get("properties")
    fields = fields if isinstance(fields, Mapping) else {}
    values = {name: _example(fields.get(name), whole, depth + 1) for name in _required(schema)}
    return {name: None if value is _NONE else value for name, value in values.items()}


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    return choices if isinstance(choices, list) else []


def _either(schema: Mapping[str, Any]) -> list[Any]:
    either = schema.get("anyOf") or schema.get("oneOf")
    return either if isinstance(either, list) else []


def _required(schema: Mapping[str, Any]) -> list[str]:
    required = schema.get("required")
    return (
        [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    )


def _resolved(schema: Any, whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a `$ref` within *whole*; empty for what is no schema with something to say."""
    for _ in range(_DEEP):
        if not isinstance(schema, Mapping):
            return {}
        target = schema.get("$ref")
        if not isinstance(target, str):
            return schema
        schema = whole if target.startswith("#") else None
        for part in target.removeprefix("#").strip("/").split("/"):
            schema = schema.get(part) if isinstance(schema, Mapping) else None
    return {}

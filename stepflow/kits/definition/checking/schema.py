"""The JSON Schema of definitions, for editors."""

from __future__ import annotations

from typing import Any

from stepflow.kits.definition.definitions import Definitions
from stepflow.kits.definition.kinds.base import Kind
from stepflow.kits.definition.model import Definition


def schema_of(book: Definitions) -> dict[str, Any]:
    """
    Give the schema of a definition, with the kinds that an app knows and what they take.

    Of the fields of a kind it says names and words alone: a reference may stand for any value.
    """
    schema = Definition.model_json_schema(by_alias=True)
    kinds = book.known.kinds
    step = schema["$defs"]["StepSpec"]
    step["properties"]["kind"]["enum"] = list(kinds)
    step["allOf"] = [_input_of(kind) for kind in kinds.values()]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _input_of(kind: Kind) -> dict[str, Any]:
    model = kind.Input.model_json_schema(by_alias=True)
    words = {
        name: {"description": field["description"]} if "description" in field else {}
        for name, field in model.get("properties", {}).items()
    }
    given = {
        "properties": words, "required": model.get("required", []), "additionalProperties": False,
        "description": (type(kind).__doc__ or "").strip().partition("\n")[0],
    }  # fmt: skip
    return {
        "if": {"properties": {"kind": {"const": kind.name}}},
        "then": {"properties": {"input": given}},
    }

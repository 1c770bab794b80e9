"""The OpenAPI 3.1 document, made from the table of operations."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue

from stepflow.web.models import RUN_ID
from stepflow.web.operation import NOBODYS, Operation
from stepflow.web.problems import status_of
from stepflow.web.routes import PATH_PARTS, problems_of

_REF = "#/components/schemas/{model}"
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457). *type* is the class of stepflow's error.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, to what, and what to do."},
        "retryable": {"type": "boolean", "description": "Whether the same may succeed later."},
    },
    "required": ["type", "title", "status", "detail", "retryable"],
}


class _Schemas(GenerateJsonSchema):
    """Leaves out the titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def document(operations: Sequence[Operation], root: str) -> dict[str, Any]:
    """Describe *operations*, which stand below the path *root*."""
    schemas, references = _schemas(operations)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for operation in operations:
        paths[operation.path][operation.method.lower()] = _describe(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "stepflow", "version": _version(), "license": {"name": "MIT"}},
        "servers": [{"url": root or "/"}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _version() -> str:
    try:
        return version("stepflow-rq")
    except PackageNotFoundError:
        return "0"


References = dict[tuple[Any, JsonSchemaMode], JsonSchemaValue]


def _schemas(operations: Sequence[Operation]) -> tuple[dict[str, Any], References]:
    """Make the schemas of all that is taken and given."""
    wanted: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = []
    for operation in operations:
        wanted.append((operation.handle, "serialization", TypeAdapter(operation.answer)))
        if operation.body is not None:
            wanted.append((operation.body, "validation", TypeAdapter(operation.body)))
    found, whole = TypeAdapter.json_schemas(wanted, ref_template=_REF, schema_generator=_Schemas)
    return whole.get("$defs", {}), dict(found)


def _describe(operation: Operation, references: References) -> dict[str, Any]:
    media = "text/event-stream" if operation.streams else operation.media
    answer = (
        {"type": "string"} if operation.streams else (references[operation.handle, "serialization"])
    )
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": _text(operation.handle.__doc__),
        "parameters": [*_of_path(operation), *_of_query(operation.query), *_of_headers(operation)],
        "responses": {
            str(operation.status): {
                "description": operation.summary, "content": {media: {"schema": answer}},
                **({"headers": _LOCATION} if operation.status == 202 else {}),  # noqa: PLR2004
            },
            **_problems(operation),
        },
    }  # fmt: skip
    if operation.body is not None:
        described["requestBody"] = {
            "required": any(part.is_required() for part in operation.body.model_fields.values()),
            "content": {"application/json": {"schema": references[operation.body, "validation"]}},
        }
    if operation.right != NOBODYS:
        described["security"] = [{"token": []}]
    return described


_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where the run is."}}


def _text(docstring: str | None) -> str:
    return re.sub(r"\s+", " ", docstring or "").strip()


def _of_path(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", operation.path):
        pattern, says = PATH_PARTS[name]
        yield {
            "name": name, "in": "path", "required": True, "description": says,
            "schema": {"type": "string", "pattern": pattern},
        }  # fmt: skip


def _of_query(model: type[BaseModel] | None) -> Iterator[dict[str, Any]]:
    if model is None:
        return
    schema = model.model_json_schema(schema_generator=_Schemas, ref_template=_REF)
    definitions = schema.get("$defs", {})
    for name, part in schema["properties"].items():
        yield {
            "name": name, "in": "query", "required": name in schema.get("required", ()),
            "schema": _without_null(part, definitions),
        }  # fmt: skip


def _without_null(part: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of a field of a query, which may be left out, but has no null."""
    kinds = [kind for kind in part.get("anyOf", [part]) if kind.get("type") != "null"]
    found = kinds[0]
    if "$ref" in found:
        found = definitions[found["$ref"].rpartition("/")[2]]
    more = {name: value for name, value in part.items() if name not in {"anyOf", "default"}}
    return {**more, **found} if "anyOf" in part else found


_HEADERS = {
    "Idempotency-Key": {"type": "string", "pattern": RUN_ID},
    "Last-Event-ID": {"type": "string"},
}


def _of_headers(operation: Operation) -> Iterator[dict[str, Any]]:
    for name, says in operation.headers.items():
        yield {"name": name, "in": "header", "required": False, "description": says,
               "schema": _HEADERS[name]}  # fmt: skip


def _problems(operation: Operation) -> dict[str, Any]:
    """Describe what may go wrong, by status."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for kind in problems_of(operation):
        by_status[status_of(kind)].append(kind.__name__)
    schema = {"schema": {"$ref": _REF.format(model="Problem")}}
    return {
        str(status): {
            "description": ", ".join(names), "content": {"application/problem+json": schema},
        }
        for status, names in sorted(by_status.items())
    }  # fmt: skip

"""JSON schemas: that of a type, and what of a value does not fit one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import (
    PydanticInvalidForJsonSchema,
    PydanticUndefinedAnnotation,
    PydanticUserError,
)

from stepflow.engine.user_code.schema.examples import in_words
from stepflow.errors import InvalidOption

#: what does not fit, shown in one message: how many, and characters of each
_SHOWN, _LONG = 5, 200

_JSON: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_bytes="base64"))


def schema_of(wanted: Any) -> dict[str, Any] | None:
    """Give the JSON schema of a type; None for one that has none."""
    try:
        return TypeAdapter(wanted).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation, PydanticUserError):
        return None


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise InvalidOption for what is no JSON schema."""
    try:
        validator = _validator(schema)
        validator.check_schema(schema)
    except Exception as error:  # noqa: BLE001  the library's SchemaError, or what else it makes of nonsense
        msg = f"{schema!r:.200} is no JSON schema: {getattr(error, 'message', error)!s:.200}"
        raise InvalidOption(msg) from None


def misfit(value: Any, schema: Mapping[str, Any]) -> str | None:
    """
    Say in words what of *value*, as JSON would have it, does not fit *schema*.

    None when all of it does.
    """
    try:
        errors = list(_validator(schema).iter_errors(_JSON.dump_python(value, mode="json")))
    except Exception as error:  # noqa: BLE001  a reference that leads nowhere, a value that JSON does not have
        return f"it cannot be checked ({type(error).__name__}: {str(error)[:_LONG]})"
    shown = [
        ": ".join(filter(None, (".".join(map(str, e.absolute_path)), _said(e)[:_LONG])))
        for e in errors[:_SHOWN]
    ]
    more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    return "; ".join(shown) + more if errors else None


def _said(error: Any) -> str:
    """Say what one error of the library is; of several schemas it would not say what they want."""
    wanted = in_words(error.schema) if error.validator in {"anyOf", "oneOf"} else ""
    return f"{error.instance!r:.100} is not {wanted}" if wanted else str(error.message)


def _validator(schema: Mapping[str, Any]) -> Any:
    """
    Make what checks values.

    The library takes a tenth of a second to import, so it is when first needed.
    """
    from jsonschema import validators  # type: ignore[import-untyped]  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    # A registry of its own: a schema may not have this process fetch another from the network.
    return kind(schema, registry=Registry())

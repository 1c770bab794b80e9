"""What fits a JSON schema, in words and as a value: for types as pydantic describes them."""

from __future__ import annotations

import json
from enum import StrEnum, auto
from typing import Any, Literal

import pytest
from pydantic import BaseModel, TypeAdapter

from stepflow.engine.user_code.schema import misfit
from stepflow.engine.user_code.schema.examples import example_of, in_words


class Colour(StrEnum):
    RED = auto()
    BLUE = auto()


class Inner(BaseModel):
    colour: Colour


class Outer(BaseModel):
    inner: Inner
    many: list[Inner]
    maybe: int | None
    note: str = ""


TYPES = [
    bool,
    int,
    float,
    str,
    None,
    Colour,
    Literal[3, "a"],
    Inner,
    Outer,
    Inner | bool,
    int | None,
    list[Inner],
]


@pytest.mark.parametrize("wanted", TYPES, ids=str)
def test_the_example_fits(wanted):
    schema = TypeAdapter(wanted).json_schema()
    assert misfit(json.loads(example_of(schema)), schema) is None
    assert in_words(schema)


@pytest.mark.parametrize(
    "schema",
    [{}, {"$ref": "#/nowhere"}, {"$ref": "#"}, {"anyOf": "x"}, {"enum": 3}, {"type": 7},
     {"anyOf": [{"$ref": "#"}]}, {"$ref": "https://example.org/x"}],
    ids=str,
)  # fmt: skip
def test_a_schema_that_says_nothing_has_neither(schema: dict[str, Any]):
    assert (in_words(schema), example_of(schema)) == ("", "")


def test_a_value_that_fits_none_of_several_is_told_what_they_want():
    schema = {"anyOf": [{"type": "boolean"}, {"type": "object", "required": ["approved"]}]}
    assert misfit("yes", schema) == "'yes' is not boolean or object with approved"

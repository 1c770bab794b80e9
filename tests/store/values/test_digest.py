"""Equal input has equal digests, other input another, in any order and any process."""

from __future__ import annotations

import enum
import itertools
import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from stepflow.errors import UnsupportedValue
from stepflow.store.values.codec import pack, unpack
from stepflow.store.values.digest import digest


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any


class Pair(NamedTuple):
    x: Any
    y: Any


class Model(BaseModel):
    x: Any
    y: Any


class Colour(enum.Enum):
    RED = "red"


keys = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
values = st.recursive(
    keys | st.dates() | st.datetimes() | st.decimals(allow_nan=False) | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(keys, max_size=4)
    ),
    max_leaves=8,
)


def turned_round(value: Any) -> Any:
    """Give an equal value whose maps and sets were filled the other way round."""
    match value:
        case dict():
            return {key: turned_round(item) for key, item in reversed(value.items())}
        case list():
            return [turned_round(item) for item in value]
        case set():
            backwards = list(value)[::-1]
            return set(backwards)
        case _:
            return value


@given(values)
def test_the_order_of_maps_and_sets_does_not_count(value):
    assert digest("etl", value) == digest("etl", turned_round(value))


@given(values)
def test_what_was_packed_and_read_has_the_digest_it_had(value):
    assert digest("etl", unpack(pack(value))) == digest("etl", value)


@given(values, values)
def test_values_that_pack_differently_in_every_order_have_different_digests(left, right):
    if digest("etl", left) == digest("etl", right):
        assert left == right


def test_every_order_of_a_map_gives_one_digest():
    items = [("b", 1), ("aa", 2), ("é", 3), ("z" * 40, 4), (1, 5), ((1, "x"), 6)]
    assert len({digest("etl", dict(order)) for order in itertools.permutations(items)}) == 1


@pytest.mark.parametrize(
    ("value", "equal"),
    [
        (Point(1, 2), {"y": 2, "x": 1}),
        (Model(x=1, y=Point(1, {2})), {"y": {"x": 1, "y": {2}}, "x": 1}),
        (Pair(1, 2), (1, 2)),
        (Colour.RED, "red"),
        ({Colour.RED: 1, "b": 2}, {"b": 2, "red": 1}),
        (OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
        (bytearray(b"a"), b"a"),
        ({frozenset("abc"): 1, "z": 2}, {"z": 2, frozenset("cba"): 1}),
    ],
)
def test_what_comes_back_the_same_counts_as_the_same(value, equal):
    assert digest("etl", value) == digest("etl", equal)


DIFFERENT = [
    None, 0, 1, 1.0, True, False, "1", b"1", "", [], {}, (), set(), frozenset(), [1], (1,), {1},
    frozenset([1]), [[1]], {1: 2}, {1.0: 2}, {True: 2}, {"1": 2}, {b"1": 2}, {b"\x01": 2},
    {b"\xa11": 2}, [1, 2], [2, 1], {"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": {"b": 1}}, [["a", 1]],
    {b"\x01"}, {"a": None}, 2**64, -(2**64), str(2**64), 0.0, -0.0, Decimal(1), Decimal("1.0"),
    UUID(int=1), str(UUID(int=1)), date(2026, 1, 1), "2026-01-01", datetime(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=UTC), time(1), timedelta(1), {(1, 2): 3}, {frozenset([1, 2]): 3},
    msgpack.ExtType(5, b"t"),
]  # fmt: skip


def test_different_values_have_different_digests():
    assert len({digest("etl", value) for value in DIFFERENT}) == len(DIFFERENT)
    assert len({digest("etl", [value]) for value in DIFFERENT}) == len(DIFFERENT)


def test_the_runner_counts_and_cannot_be_traded_with_the_payload():
    assert digest("etl", 1) != digest("etl2", 1)
    assert digest("a", "bc") != digest("ab", "c")


def test_a_digest_has_16_bytes():
    assert len(digest("etl", {"n": 3})) == 16


def test_digests_are_what_they_were_whatever_process_and_hash_seed():
    """
    Runs outlive deploys: another digest for the same input would turn a repeated submit into a
    conflict.
    """
    code = (
        "from stepflow.store.values.digest import digest; from decimal import Decimal;"
        "print(digest('etl',"
        "{'tags': {'a', 'b', 'c', 'dd', (1, 'x')}, 'n': 1,"
        " 1: [Decimal('1.5'), frozenset('xyz')]}).hex())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("0", "1", "2", "3")
    }
    assert seen == {"a25ba6fafcf53872efaeaa7c8bf9c67e"}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1j]}, "payload.a[0]"),
        ({1j: 1}, "payload (key 1j)"),
        ({"\ud800": 1, "b": 2}, "payload (key '\\ud800')"),
        ({"s": {1j}}, "payload.s (member 1j)"),
    ],
)
def test_an_unsupported_value_is_named_by_its_path(value, path):
    with pytest.raises(UnsupportedValue) as caught:
        digest("etl", value)
    assert caught.value.path == path


def test_a_value_that_contains_itself_is_refused():
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(UnsupportedValue, match="contains itself"):
        digest("etl", circle)


def test_a_value_too_deep_to_walk_is_refused():
    deep: Any = []
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(UnsupportedValue, match="nested"):
        digest("etl", deep)

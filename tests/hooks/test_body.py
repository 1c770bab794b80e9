"""What a webhook is sent."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import RunOutcome
from stepflow.hooks.body import MAX_DEPTH, body_of

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@dataclass
class Point:
    x: int
    y: Any = None


class Paper(BaseModel):
    title: str
    written: date


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 2


def sent(result: Any) -> Any:
    body = body_of(RunOutcome("a1", "countdown", "succeeded", result=result, ended_at=NOON))
    return json.loads(body, parse_constant=pytest.fail)["data"]["result"]


def test_the_body_tells_the_whole_end_of_a_run() -> None:
    outcome = RunOutcome(
        "a1", "countdown", "succeeded", {"done": True}, None, None, {"tenant": "t1"}, 3, 2, 1, 1,
        NOON - timedelta(minutes=2), NOON - timedelta(minutes=1), NOON,
    )  # fmt: skip
    assert json.loads(body_of(outcome)) == {
        "type": "run.succeeded",
        "timestamp": "2026-11-02T12:00:00+00:00",
        "data": {
            "run_id": "a1",
            "runner": "countdown",
            "status": "succeeded",
            "result": {"done": True},
            "error": None,
            "reason": None,
            "headers": {"tenant": "t1"},
            "final_step": 3,
            "attempts": 2,
            "generation": 1,
            "end": 1,
            "created_at": "2026-11-02T11:58:00+00:00",
            "started_at": "2026-11-02T11:59:00+00:00",
            "ended_at": "2026-11-02T12:00:00+00:00",
        },
    }


def test_every_try_sends_the_same_bytes() -> None:
    outcome = RunOutcome("a1", "etl", "failed", {"b", "a", "c"}, ended_at=NOON)
    assert body_of(outcome) == body_of(
        RunOutcome("a1", "etl", "failed", {"c", "a", "b"}, ended_at=NOON)
    )


def test_an_error_is_told_by_type_and_message_and_its_traceback_stays_at_home() -> None:
    error = ErrorInfo("ValueError", "no such page", 'File "secret/place.py"')
    body = body_of(RunOutcome("a1", "etl", "failed", error=error, ended_at=NOON))
    assert json.loads(body)["data"]["error"] == {"type": "ValueError", "message": "no such page"}
    assert b"place.py" not in body


@pytest.mark.parametrize(
    ("value", "as_json"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        ("h\u00e9 \u2713", "h\u00e9 \u2713"),
        (NOON, "2026-11-02T12:00:00+00:00"),
        (date(2026, 11, 2), "2026-11-02"),
        (time(12, 30), "12:30:00"),
        (timedelta(minutes=1.5), 90.0),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\x00\xff", "AP8="),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({(1, "\u00e9"), (0, "x")}, [[0, "x"], [1, "\u00e9"]]),
        ((1, (2, 3)), [1, [2, 3]]),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Paper(title="On", written=date(2026, 1, 1)), {"title": "On", "written": "2026-01-01"}),
        (Colour.RED, "red"),
        (Level.HIGH, 2),
        (float("nan"), None),
        (float("-inf"), None),
        (2**63, 2**63),
        (2**64, str(2**64)),
        (-(2**64), str(-(2**64))),
        ({None: "b", True: "c"}, {"true": "c", "null": "b"}),
        (
            {2: "a", "b": 1, (1, "\u00e9"): 2, NOON: 3},
            {"2": "a", "b": 1, '[1,"\u00e9"]': 2, "2026-11-02T12:00:00+00:00": 3},
        ),
        ({1: "a", "1": "b"}, [[1, "a"], ["1", "b"]]),
        ("half \ud83d a pair", "half \ud83d a pair"),
        (object, "<type>"),
    ],
)
def test_each_value_has_its_form_in_json(value: Any, as_json: Any) -> None:
    assert sent(value) == as_json


def test_an_integer_too_long_for_decimal_digits_is_written_in_hexadecimal() -> None:
    assert sent(-(10**5000)) == hex(-(10**5000))


def test_what_is_nested_too_deep_is_cut_and_said_so() -> None:
    deep: Any = 0
    for _ in range(2000):
        deep = [{"in": deep}]
    text = json.dumps(sent(deep))
    assert "\\u2026" in text
    assert text.count("[") + text.count("{") <= MAX_DEPTH


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
    | st.datetimes() | st.dates() | st.times() | st.timedeltas() | st.decimals() | st.uuids()
)  # fmt: skip
keys = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.tuples(st.integers(), st.text())
)


@given(
    st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner) | st.sets(keys)
        ),
        max_leaves=20,
    )
)
def test_whatever_a_result_holds_it_becomes_json(value: Any) -> None:
    sent(value)

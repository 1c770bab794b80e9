"""[A15] Cassettes: answers from a file, by what was asked."""

from __future__ import annotations

import json

import pytest

from stepflow import UsageError
from stepflow.agents.providers import CompletionRequest, Message, ToolCall, ToolSpec
from stepflow.agents.testing import CassetteMiss, cassette
from tests.agents.scripted import InTurn


def asked(text="go", *, call_id="1", arguments='{"a": 1, "b": 2}', tools=()):
    called = Message(
        "assistant", tool_calls=(ToolCall(call_id, "f", arguments),), native={"x": call_id}
    )
    told = Message("tool", "3", tool_call_id=call_id, tool_name="f")
    return CompletionRequest((Message("user", text), called, told), tools)


async def test_what_was_recorded_is_given_again_whatever_its_ids_and_spaces(tmp_path):
    path = tmp_path / "new" / "answers.jsonl"
    model = InTurn(["one", [("f", {"a": 1})], "three"])
    recording = cassette(path, record=model)
    recorded = [await recording.complete(asked(text)) for text in ("a", "b", "a")]
    assert len(model.requests) == 2  # the same is not asked again
    given = cassette(path)
    found = [
        await given.complete(asked("a", call_id="9", arguments='{"b":2,"a":1}')),
        await given.complete(asked("b")),
    ]
    assert found == recorded[:2]
    assert recorded[2] == recorded[0]
    assert [json.loads(line)["request"]["messages"][0] for line in path.read_text().splitlines()]


async def test_the_same_question_gets_its_answers_in_their_order_then_the_last(tmp_path):
    path = tmp_path / "answers.jsonl"
    for answer in ("one", "two"):
        await cassette(tmp_path / "part.jsonl", record=InTurn([answer])).complete(asked())
        with path.open("a") as file:
            file.write((tmp_path / "part.jsonl").read_text())
        (tmp_path / "part.jsonl").unlink()
    given = cassette(path)
    assert [(await given.complete(asked())).text for _ in range(3)] == ["one", "two", "two"]


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (asked("stop"), '+   "text": "stop",'),
        (asked(arguments='{"a": 1, "b": 3}'), '+      "b": 3'),
        (asked(tools=(ToolSpec("g", "", {}),)), '+   "name": "g",'),
    ],
)
async def test_a_miss_fails_with_what_differs(tmp_path, other, line):
    path = tmp_path / "answers.jsonl"
    await cassette(path, record=InTurn(["one"])).complete(asked())
    with pytest.raises(CassetteMiss, match="has no answer for this request") as missed:
        await cassette(path).complete(other)
    assert line in str(missed.value).splitlines()


async def test_an_empty_or_damaged_file_is_told_of(tmp_path):
    with pytest.raises(CassetteMiss, match="It has none at all"):
        await cassette(tmp_path / "none.jsonl").complete(asked())
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="line 1, is no line of a cassette"):
        cassette(tmp_path / "bad.jsonl")

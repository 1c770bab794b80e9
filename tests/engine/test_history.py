"""
A run as a document: JSON's own types, nothing secret, and every byte of the journal comes back.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow import AsyncClient, Client, RunNotFound, Webhook
from stepflow.engine.history import _read_entry, read_history, show_entry
from stepflow.errors import UnreadableHistory
from stepflow.store.values.codec import pack

VALUES = [
    None, True, 0, 1.5, "text", "a|b", "5", b"\x00bytes", [1, [2, {"k": None}]], {"k": [True]},
    {1: "int key"}, (1, 2), {1, 2}, float("nan"), float("inf"), Decimal("1.50"),
    datetime(2030, 1, 1, tzinfo=UTC), 2**70, "", [],
]  # fmt: skip


ODD = pack(Decimal("1.5"))


def entry(
    kind: str, data: bytes, place: str = "0.1", name: str = "search", at: float = 1893456000.123456
) -> bytes:
    return f"{kind}|{place}|{name}|{at:.6f}|".encode() + data


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("head", [b"", b"review|"], ids=["value", "signal"])
def test_every_value_comes_back_byte_by_byte_through_json(value: Any, head: bytes) -> None:
    written = entry("signal" if head else "value", head + pack(value))
    assert _read_entry(json.loads(json.dumps(show_entry(written)))) == written


@given(data=st.binary(max_size=40), whole=st.booleans())
def test_whatever_stands_in_a_journal_comes_back_byte_by_byte(data: bytes, whole: bool) -> None:
    written = data if whole else entry("later-kind", data)
    assert _read_entry(json.loads(json.dumps(show_entry(written)))) == written


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (entry("value", pack({"hits": ["a"]})), {"value": {"hits": ["a"]}}),
        (entry("signal", b"review|" + pack(True)), {"signal": "review", "value": True}),
        (entry("due", b"1893456000.500000"), {"text": "1893456000.500000"}),
        (entry("over", b""), {}),
        (
            entry("value", ODD),
            {"base64": base64.b64encode(ODD).decode(), "shown": "Decimal('1.5')"},
        ),
    ],
)
def test_what_json_can_carry_is_shown_readably(written: bytes, shown: dict[str, Any]) -> None:
    facts = {
        "kind": written.split(b"|")[0].decode(),
        "place": "0.1",
        "name": "search",
        "at": 1893456000.123456,
    }
    assert show_entry(written) == facts | shown


async def test_both_clients_give_the_run_its_input_and_no_secret(
    client: Client, aclient: AsyncClient
) -> None:
    secret = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
    hook = Webhook("https://example.com/?key=hidden", secret)
    run = client.submit(
        "etl", {"a": Decimal(1)}, run_id="a1", headers={"tenant": "t1"}, webhooks=[hook], timeout=60
    )
    document = client.history("a1")
    assert document == await aclient.history("a1")
    text = json.dumps(document)
    assert not any(word in text for word in ("c2Vjc", "hidden"))
    read = read_history(json.loads(text))
    status = run.status()
    assert status is not None
    assert (read.payload, read.headers, list(read.journal)) == (
        {"a": Decimal(1)},
        {"tenant": "t1"},
        [],
    )
    assert (read.run.id, read.run.runner, read.run.state) == ("a1", "etl", "pending")
    assert datetime.fromtimestamp(read.run.created_at, UTC) == status.created_at
    run.cancel()
    assert client.history("a1")["run"]["state"] == "cancelled"
    with pytest.raises(RunNotFound):
        client.history("unknown")


@pytest.mark.parametrize(
    "document", [None, [], {}, {"format": 2}, {"format": 1, "run": {}}, "text"]
)
def test_what_is_no_history_is_refused_in_words(document: Any) -> None:
    with pytest.raises(UnreadableHistory, match="stepflow export"):
        read_history(document)


#: what may stand there
READ = {("created_at", "True"), ("created_at", "1.5"), ("headers", "None")}


@pytest.mark.parametrize("field", ["id", "runner", "queue", "state", "step", "generation",
                                   "version", "created_at", "origin", "headers"])  # fmt: skip
def test_a_history_that_somebody_has_written_in_is_read_or_refused(
    client: Client, field: str
) -> None:
    """Whatever stands in it: `stepflow check` says so, and goes on with the next."""
    client.submit("w", 1, run_id="a1")
    history = client.history("a1")
    assert read_history(history)
    for odd in ([], {"a": 1}, True, 1.5, "\ud800", {1: "x"}, None):
        written = {**history, "run": {**history["run"]}}
        (written if field == "headers" else written["run"])[field] = odd
        if (field, str(odd)) in READ:
            continue
        with pytest.raises(UnreadableHistory, match="stepflow export"):
            read_history(written)

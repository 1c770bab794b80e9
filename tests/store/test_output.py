"""The scripts that write output streams: the claim, second arrivals, order and bounds."""

import pytest

from stepflow.store.events.output import Bounds, emit, emit_entry, load_output, load_output_state

MANY = Bounds(1000, 1_000_000)
TOKEN = "w.1."


@pytest.fixture
def run(redis_client):
    redis_client.flushall()
    redis_client.hset("stepflow:run:a", mapping={"token": TOKEN, "rev": 7, "state": "running"})
    yield "a"
    redis_client.flushall()


@pytest.fixture
def say(connection, keys, run):
    """Emit texts in one batch; gives what the script says."""

    def say(*texts, token=TOKEN, rev=7, batch=1, bounds=MANY):
        items = [(text.encode(), "", "0", "") for text in texts]
        return connection.call(
            emit(keys, run, token, rev=rev, batch=batch, items=items, bounds=bounds)
        )

    return say


@pytest.fixture
def said(connection, keys, run):
    """All that the stream holds: id and data."""

    def said():
        entries = connection.call(load_output(keys, run, "-", 1000))
        return [(entry.id, entry.fields[b"d"].decode()) for entry in entries]

    return said


def test_a_worker_without_the_claim_writes_nothing(say, said):
    """[E8]"""
    assert say("one") == 1
    assert say("two", token="another.1.", batch=2) == 0
    assert said() == [("7-1", "one")]


def test_a_batch_that_arrives_twice_is_written_once(say, said):
    """[E8] And the next one goes on behind it."""
    assert [say("a", "b"), say("a", "b"), say("c", batch=2)] == [1, 1, 1]
    assert said() == [("7-1", "a"), ("7-2", "b"), ("7-3", "c")]


def test_ids_grow_from_claim_to_claim_whatever_the_record_says(say, said):
    """[E8] A rev that was damaged and counts from anew does not stop the stream."""
    say("a")
    say("b", rev=12)
    say("c", rev=3, batch=9)
    assert said() == [("7-1", "a"), ("12-1", "b"), ("12-2", "c")]


def test_the_record_knows_what_the_stream_weighs_and_what_has_gone(
    connection, keys, run, say, said, redis_client
):
    """[E11]"""
    say("abc", "de", "f", bounds=Bounds(2, 1000))
    assert said() == [("7-2", "de"), ("7-3", "f")]
    weight = sum(
        len(value)
        for _, fields in redis_client.xrange("stepflow:run:a:out")
        for value in fields.values()
    )
    assert redis_client.hget("stepflow:run:a", "out") == f"{weight}|7.1".encode()
    state = connection.call(load_output_state(keys, run))
    assert (state.gone, state.has_output, state.has_ended) == ("7-1", True, False)
    say("g" * 50, batch=2, bounds=Bounds(100, 10))
    assert [text[0] for _, text in said()] == ["g"], "the last item stays, however heavy"


def test_an_item_of_the_journal_is_written_once_beside_its_entry(
    connection, keys, run, say, said, redis_client
):
    """[E7]"""

    def remember(index, token=TOKEN, data=b"fact"):
        return connection.call(
            emit_entry(
                keys, run, token, index, b"emit|0|out|1.0|", rev=7, data=data, topic="",
                bounds=MANY,
            )
        )  # fmt: skip

    say("before")
    assert remember(0, token="another.1.") == []
    assert remember(0) == [b"7-2"]
    assert remember(0) == [b"7-2"]
    say("before")
    assert said() == [("7-1", "before"), ("7-2", "fact")]
    assert redis_client.lrange("stepflow:run:a:journal", 0, -1) == [b"emit|0|out|1.0|7-2"]
    say("after", batch=2)
    assert said()[-1] == ("7-3", "after")

"""The wire format in Python reads and writes what hiredis does, however the bytes are cut."""

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.store.connection.resp import PyReader, ReplyError, py_pack

numbers = st.integers(-(2**63), 2**63 - 1)
lines = st.binary(max_size=20).filter(lambda data: b"\r" not in data and b"\n" not in data)
words = st.text(st.characters(codec="ascii", categories=["L", "N", "Zs"]), max_size=20)


def encode(reply):
    """Write a reply as a server does."""
    match reply:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(reply), reply)
        case ("+", line):
            return b"+%s\r\n" % line
        case ("-", words):
            return b"-%s\r\n" % words.encode()
        case "null array":
            return b"*-1\r\n"
    return b"*%d\r\n" % len(reply) + b"".join(map(encode, reply))


replies = st.recursive(
    st.none() | numbers | st.binary(max_size=40) | st.tuples(st.just("+"), lines)
    | st.just("null array"),
    lambda inner: st.lists(inner, max_size=4), max_leaves=12,
) | st.tuples(st.just("-"), words)  # fmt: skip


def shown(reply):
    """A form in which replies of both can be compared: errors are not equal to each other."""
    return (
        ("error", str(reply))
        if isinstance(reply, ReplyError)
        else [shown(item) for item in reply]
        if isinstance(reply, list)
        else reply
    )


@given(st.lists(replies, min_size=1, max_size=5), st.data())
def test_the_reader_in_python_equals_hiredis_on_any_split(sent, data):
    wire = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    ours, theirs = PyReader(), hiredis.Reader(replyError=ReplyError)
    read = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        ours.feed(wire[start:end])
        theirs.feed(wire[start:end])
        while (reply := ours.gets()) is not False:
            read.append(shown(reply))
            assert read[-1] == shown(theirs.gets())
        assert theirs.gets() is False
    assert len(read) == len(sent)


@given(
    st.lists(
        st.binary(max_size=30)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
        | st.integers(),
        min_size=1,
        max_size=6,
    )
)
def test_commands_are_written_as_hiredis_writes_them(command):
    assert py_pack(command) == hiredis.pack_command(tuple(command))


@pytest.mark.parametrize("number", [0.5, 15.0, 1e-7, 1_800_000_000.123456])
def test_floats_arrive_as_the_numbers_they_are(number):
    for packed in (py_pack(["X", number]), hiredis.pack_command(("X", number))):
        assert float(packed.split(b"\r\n")[4]) == number


def test_what_is_no_reply_breaks_the_connection_and_not_the_reader():
    reader = PyReader()
    reader.feed(b"HTTP/1.1 400\r\n")
    with pytest.raises(ConnectionError, match="not a Redis reply"):
        reader.gets()

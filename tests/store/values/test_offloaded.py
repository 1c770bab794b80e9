"""References to offloaded values: what they look like, and that none is missed."""

from __future__ import annotations

import gc

import pytest

from stepflow.errors import UnreadableOffload, UnreadableValue
from stepflow.store.values.codec import pack, pack_list, unpack, unpack_shown
from stepflow.store.values.offloaded import (
    OffloadedText,
    Reference,
    Stored,
    has_offloaded,
    references_in,
)

REFERENCE = Reference(bytes(range(32)), 52_428_805, "stepflow/run-1/~/0001-aa")
#: as the first version that has references writes it; what is in Redis looks so for ever
WRITTEN = bytes.fromhex(
    "c7427f6f01000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0000000003200005"
    "73746570666c6f772f72756e2d312f7e2f303030312d6161"
)


def test_a_reference_is_written_as_it_always_was():
    assert REFERENCE.write() == WRITTEN
    assert list(references_in(WRITTEN)) == [REFERENCE]


@pytest.mark.parametrize(
    "packed",
    [
        WRITTEN,
        b"v|place|name|" + WRITTEN,
        pack_list([pack("a"), WRITTEN, pack_list([WRITTEN])]),
        b"0|succeeded|" + WRITTEN,
    ],
)
def test_references_are_found_wherever_they_stand(packed):
    assert has_offloaded(packed)
    assert set(references_in(packed)) == {REFERENCE}


@pytest.mark.parametrize("length", [100, 214, 215, 500, 900])
def test_a_long_path_is_found(length):
    reference = REFERENCE._replace(path=f"stepflow/{'x' * length}/~/01-aa")
    assert list(references_in(b"v|" + reference.write() + b"|")) == [reference]


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\x7fo\x01",
        b"\xc7\xff\x7fo\x01 short",
        pack(b"bytes with \x7fo\x01 in them"),
        pack(b"\xc7\x05\x7fo\x01and more of it"),
        REFERENCE._replace(path="../../etc/passwd").write(),
        REFERENCE._replace(path="/etc/passwd").write(),
        REFERENCE._replace(path="stepflow/a/../01-aa").write(),
        REFERENCE._replace(path="stepflow/a/~/for/b").write(),
    ],
)
def test_what_only_looks_like_a_reference_is_none(packed):
    assert list(references_in(packed)) == []


def test_a_stand_in_is_packed_as_its_reference():
    assert pack(Stored(REFERENCE)) == WRITTEN


def test_without_a_store_a_reference_says_what_to_set():
    with pytest.raises(UnreadableOffload, match=r"52,428,805 bytes .* STEPFLOW_OFFLOAD_URL"):
        unpack(WRITTEN)


def test_what_is_shown_needs_no_store():
    shown = unpack_shown(pack_list([pack("a"), WRITTEN]))
    assert shown == ["a", f"<52,428,805 bytes, offloaded, SHA-256 {bytes(range(8)).hex()}>"]
    assert isinstance(shown[1], OffloadedText)
    assert shown[1].reference == REFERENCE


def test_a_reference_out_of_the_store_is_not_followed():
    with pytest.raises(UnreadableValue, match="leads to no place in a store"):
        unpack(REFERENCE._replace(path="../../etc/passwd").write())


def test_a_reference_of_a_later_format_is_refused_in_words():
    later = WRITTEN.replace(b"\x7fo\x01", b"\x7fo\x02")
    with pytest.raises(UnreadableValue, match="that this version knows"):
        unpack(later)


def test_what_packed_a_large_value_is_freed_at_once(monkeypatch):
    """Its buffer is as large, and the next collection may be a while off."""
    monkeypatch.setattr("stepflow.store.values.codec._idle", [])
    gc.collect()
    gc.disable()
    try:
        pack(bytes(2_000_000))
        assert gc.collect() == 0
    finally:
        gc.enable()

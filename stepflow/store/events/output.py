"""Calls that write and read output streams; `lua/lib/output.lua` says what an item looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, flat_map, raw
from stepflow.store.keys import Keys

#: one item as `emit` sends it: data (empty for a reset), topic (empty for the usual one), scope,
#: attempt (empty for the first)
Item = tuple[bytes, str, str, Part]


class Bounds(NamedTuple):
    """How much a stream holds: the oldest items go first."""

    items: int
    bytes: int


class StreamEntry(NamedTuple):
    """An item as the stream holds it."""

    id: str
    fields: dict[bytes, bytes]


class OutputState(NamedTuple):
    """
    What a run's record says of its output.

    *state* is empty where there is no run. *gone* is the last item that had to go, empty while none
    had to.
    """

    state: str
    has_ended: bool = False
    has_output: bool = False
    gone: str = ""


def emit(
    keys: Keys,
    run_id: str,
    token: str,
    *,
    rev: int,
    batch: int,
    items: Sequence[Item],
    bounds: Bounds,
) -> Call[int]:
    """Write a batch of items under the claim: 1 written, 0 the claim is not the caller's."""
    base = keys.run(run_id)
    return scripts.EMIT.call(
        raw,
        keys={"run": base, "output": f"{base}:out"},
        args={
            "token": token,
            "rev": rev,
            "batch": f"{rev}.{batch}",
            "channel": keys.output_channel(run_id),
            "most_items": bounds.items,
            "most_bytes": bounds.bytes,
        },
        lists={"sent": [part for item in items for part in item]},
    )


def emit_entry(
    keys: Keys,
    run_id: str,
    token: str,
    index: int,
    head: bytes,
    *,
    rev: int,
    data: bytes,
    topic: str,
    bounds: Bounds,
) -> Call[list[bytes]]:
    """Write one item and remember it as entry *index*; gives [id], or [] when refused."""
    base = keys.run(run_id)
    return scripts.EMIT_ENTRY.call(
        raw,
        keys={"run": base, "journal": f"{base}:journal", "output": f"{base}:out"},
        args={
            "token": token,
            "index": index,
            "head": head,
            "rev": rev,
            "channel": keys.output_channel(run_id),
            "most_items": bounds.items,
            "most_bytes": bounds.bytes,
            "data": data,
            "topic": topic,
        },
    )


def load_output_state(keys: Keys, run_id: str) -> Call[OutputState]:
    """Read what the run's record says of its output."""
    return command(
        "HMGET", keys.run(run_id), "state", "ended", "out", "out_gone",
        read=_output_state, misfit=lambda: OutputState(""),
    )  # fmt: skip


def _output_state(reply: Any) -> OutputState:
    state, ended, out, gone = ((field or b"").decode("utf-8", "replace") for field in reply)
    return OutputState(state, bool(ended), bool(out), _id_or_none(gone))


def load_gone(keys: Keys, run_id: str) -> Call[str]:
    """Read the id of the last item that had to go, empty while none had to."""
    return command(
        "HGET", keys.run(run_id), "out_gone",
        read=lambda reply: _id_or_none((reply or b"").decode("utf-8", "replace")), misfit=str,
    )  # fmt: skip


def _id_or_none(text: str) -> str:
    """Give what can be an id, else nothing."""
    first, dash, second = text.partition("-")
    return text if dash and first.isdecimal() and second.isdecimal() else ""


def load_output(keys: Keys, run_id: str, first: str, count: int) -> Call[list[StreamEntry]]:
    """Read at most *count* items from the id *first* on, itself included."""
    return command(
        "XRANGE", f"{keys.run(run_id)}:out", first, "+", "COUNT", count, read=_entries, misfit=list
    )


def load_newest_output(keys: Keys, run_id: str, limit: int = 1) -> Call[list[StreamEntry]]:
    """Read the newest items, at most *limit*, the newest first."""
    return command(
        "XREVRANGE", f"{keys.run(run_id)}:out", "+", "-", "COUNT", limit, read=_entries,
        misfit=list,
    )  # fmt: skip


def _entries(reply: Any) -> list[StreamEntry]:
    return [StreamEntry(item[0].decode(), flat_map(item[1])) for item in reply or ()]

"""Calls about the hash of graphs: what a runner may do, as the code that ran last says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.store.calls import Call, command, nothing
from stepflow.store.keys import Keys


def save_graphs(keys: Keys, packed: Mapping[str, bytes]) -> Call[None]:
    """Write graphs by their runner keys, over what was there."""
    fields = [part for pair in packed.items() for part in pair]
    return command("HSET", keys.graphs, *fields, read=nothing, misfit=lambda: None)


def load_graph(keys: Keys, runner: str) -> Call[bytes | None]:
    """Read the graph of a runner key, packed; None for one that has none."""

    def read(reply: Any) -> bytes | None:
        return reply if isinstance(reply, bytes) else None

    return command("HGET", keys.graphs, runner, read=read, misfit=lambda: None)

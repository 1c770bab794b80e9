"""Calls about the hash of limits: what code says of them, what operators have set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepflow.core.limits.use import write_key
from stepflow.core.limits.values import LimitValues, read_values
from stepflow.store.calls import Call, Part, command, flat_map, nothing
from stepflow.store.keys import Keys

_HEADER = "header."


def set_name(name: str, key: str | None = None) -> str:
    """Name the field of what an operator has set of a limit, for all keys or for one."""
    return f"{name}=" if key is None else f"{name}[{write_key(key)}]="


def declare_limits(
    keys: Keys,
    limits: Mapping[str, LimitValues],
    runners: Mapping[str, Sequence[tuple[str, str]]],
) -> Call[None]:
    """
    Write what code says of its limits, and for each runner key its limits' names and key sources.

    A runner without limits is written as such, over what an earlier deploy said.
    """
    fields: list[Part] = [
        part for name, values in limits.items() for part in (name, values.write())
    ]
    for runner, named in runners.items():
        fields += (f"@{runner}", "\n".join(f"{name}|{source}" for name, source in named))
    return command("HSET", keys.limits, *fields, read=nothing)


def load_runners(keys: Keys, runners: Sequence[str]) -> Call[dict[str, list[tuple[str, str]]]]:
    """Read which limits runners have, by their keys: for each a name and where its key is from."""

    def read(reply: Any) -> dict[str, list[tuple[str, str]]]:
        found = {}
        for runner, packed in zip(runners, reply, strict=True):
            if packed:
                lines = packed.decode("utf-8", "replace").splitlines()
                parts = [line.partition("|") for line in lines]
                found[runner] = [(name, source) for name, _, source in parts if name]
        return found

    fields = [f"@{runner}" for runner in runners]
    return command("HMGET", keys.limits, *fields, read=read, misfit=dict)


def key_of_header(source: str, headers: Mapping[str, str]) -> str:
    """Give the key that a limit counts for, by where it is from; empty for none."""
    return headers.get(source.removeprefix(_HEADER), "") if source else ""


def load_values(keys: Keys, name: str, key: str) -> Call[LimitValues]:
    """Read what a limit says for a key: an operator over the code, a key over all keys."""

    def read(reply: Any) -> LimitValues:
        values = LimitValues()
        for written in reply:
            if written:
                values = read_values(written.decode("utf-8", "replace")).over(values)
        return values

    return command(
        "HMGET", keys.limits, name, set_name(name), set_name(name, key), read=read,
        misfit=LimitValues,
    )  # fmt: skip


def load_hash_of_limits(keys: Keys) -> Call[dict[str, str]]:
    """Read all that is said of limits."""
    return command(
        "HGETALL", keys.limits,
        read=lambda reply: {
            name.decode("utf-8", "replace"): said.decode("utf-8", "replace")
            for name, said in flat_map(reply).items()
        },
        misfit=dict,
    )  # fmt: skip


def save_set(keys: Keys, name: str, key: str | None, values: LimitValues) -> Call[None]:
    """Write what an operator sets of a limit, over what was set before."""
    return command("HSET", keys.limits, set_name(name, key), values.write(), read=nothing)


def forget_set(keys: Keys, fields: Sequence[str]) -> Call[int]:
    """Take fields out of the hash of limits; gives how many were there."""
    return command("HDEL", keys.limits, *fields, read=int)

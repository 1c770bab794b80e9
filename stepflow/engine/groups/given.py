"""What is given for a group in JSON: its members, and its join in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.core.fanout.join import Join
from stepflow.engine.spec import RunSpec
from stepflow.errors import InvalidOption, shown

#: what a member may say beside its runner
OPTIONS = (
    "payload", "headers", "queue", "priority", "delay", "timeout", "version", "tags", "lane",
    "limits", "units", "on_timeout",
)  # fmt: skip


def read_given(given: object, runner: str | None = None) -> dict[str, RunSpec]:
    """
    Read the members of a group: a map from key to runner and options.

    With *runner* each value is the payload of a run of that. Raises InvalidOption.
    """
    if not isinstance(given, Mapping):
        raise _no_map(given, '{"acme": {"runner": "load", "payload": 1}, ...}')
    if runner is not None:
        return {key: RunSpec(runner, payload) for key, payload in given.items()}
    return {key: _member(key, said) for key, said in given.items()}


def check_given(members: object) -> None:
    """Raise InvalidOption for what is no map of the members of a group."""
    if not isinstance(members, Mapping):
        raise _no_map(members, '{"acme": RunSpec("load", 1), ...}')


def _no_map(given: object, example: str) -> InvalidOption:
    return InvalidOption(
        f"the members of a group are a map from key to run, not {shown(given)}; write {example}"
    )


def _member(key: str, said: Any) -> RunSpec:
    if not isinstance(said, Mapping) or not isinstance(said.get("runner"), str):
        raise InvalidOption(
            f'member {shown(key)} has no runner; write {{"runner": "load", "payload": ...}}'
        )
    unknown = sorted(name for name in said if name != "runner" and name not in OPTIONS)
    if unknown:
        raise InvalidOption(
            f"member {shown(key)} has {', '.join(map(shown, unknown))}; it takes runner, "
            f"{', '.join(OPTIONS)}"
        )
    return RunSpec(**{str(name): value for name, value in said.items()})


def read_join(words: str | None, timeout: float | None = None) -> Join | None:
    """
    Read a join in words: `all`, `any`, `settled`, how many, or a part such as `90%`.

    None for none. Raises InvalidOption.
    """
    match words:
        case None if timeout is None:
            return None
        case None:
            raise InvalidOption("a timeout goes with a join: all, any, settled, 3 or 90%")
        case "all":
            return Join.all(timeout=timeout)
        case "any":
            return Join.any(timeout=timeout)
        case "settled":
            return Join.settled(timeout=timeout)
        case _:
            return _of_number(words, timeout)


def _of_number(words: str, timeout: float | None) -> Join:
    number, percent, rest = words.partition("%")
    try:
        if percent and not rest:
            return Join.percentage(float(number) / 100, timeout=timeout)
        return Join.quorum(int(words), timeout=timeout)
    except ValueError:
        msg = f"join {shown(words)} is none; write all, any, settled, how many, or a part as 90%"
        raise InvalidOption(msg) from None

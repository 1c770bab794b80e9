"""
References in a definition's texts: `{input.a.b}`, `{steps.id.items[0].name}`, `{env.NAME}`.

A text that is one reference has the type of its value; in a longer one it stands as text. What was
put in is not looked at again. `{env.NAME}` stays open until the step itself runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepflow.errors import NoSuchValue, shown
from stepflow.kits.definition.checking.source import Way

_NAME = r"[A-Za-z_]\w*"
_REFERENCE = re.compile(
    rf"(?P<escaped>\{{\{{{_NAME}(?:\.[\w-]+|\[\d+\])+\}}\}})"
    rf"|\{{(?P<root>{_NAME})(?P<rest>(?:\.[\w-]+|\[\d+\])*)\}}"
)
_PART = re.compile(r"\.([\w-]+)|\[(\d+)\]")
#: roots that may stand alone
WHOLE = frozenset({"input", "item", "index", "result", "event"})


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference, as it is *written*."""

    root: str
    way: Way
    written: str


@dataclass(slots=True)
class Filled:
    """
    A value with its references put in, but for those to the environment.

    *holes* are the texts that these stand in: the way to each, and its parts, of which a list is
    the name of a variable. It is all plain data, so that it can go to another worker.
    """

    value: Any
    holes: list[tuple[list[str | int], list[str | list[str]]]] = field(default_factory=list)


def parts_of(text: str) -> list[str | Reference]:
    """Take *text* apart; what only looks like a reference to nothing we know stays text."""
    parts: list[str | Reference] = []
    at = 0
    for found in _REFERENCE.finditer(text):
        escaped, root, rest = found["escaped"], found["root"], found["rest"]
        if escaped is None and not rest and root not in WHOLE:
            continue
        parts.append(text[at : found.start()])
        parts.append(escaped[1:-1] if escaped else Reference(root, _read(rest), found[0]))
        at = found.end()
    parts.append(text[at:])
    return [part for part in parts if part != ""]


def _read(rest: str) -> Way:
    return tuple(name or int(index) for name, index in _PART.findall(rest))


def references_in(value: Any, way: Way = ()) -> Iterator[tuple[Way, Reference]]:
    """Give the references in the texts of *value*, each with the way to its text."""
    if isinstance(value, str):
        yield from ((way, part) for part in parts_of(value) if isinstance(part, Reference))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from references_in(each, (*way, key))
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from references_in(each, (*way, number))


def fill(value: Any, scope: Mapping[str, Any], skipped: Collection[str] = ()) -> Filled:
    """
    Put the references of *value* in; those to a step that was *skipped* are null.

    Raises NoSuchValue for one that leads nowhere, with the way that does not go on.
    """
    filled = Filled(None)
    filled.value = _fill(value, scope, skipped, filled, ())
    return filled


def _fill(
    value: Any, scope: Mapping[str, Any], skipped: Collection[str], filled: Filled, way: Way
) -> Any:
    if isinstance(value, str):
        return _fill_text(value, scope, skipped, filled, way)
    if isinstance(value, Mapping):
        return {
            key: _fill(each, scope, skipped, filled, (*way, key)) for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_fill(each, scope, skipped, filled, (*way, n)) for n, each in enumerate(value)]
    return value


def _fill_text(
    text: str, scope: Mapping[str, Any], skipped: Collection[str], filled: Filled, way: Way
) -> Any:
    parts = parts_of(text)
    if len(parts) == 1 and isinstance(parts[0], Reference) and parts[0].root != "env":
        return look_up(parts[0], scope, skipped)
    done: list[str | list[str]] = []
    for part in parts:
        if isinstance(part, str):
            done.append(part)
        elif part.root == "env":
            done.append([str(part.way[0])])
        else:
            done.append(as_text(look_up(part, scope, skipped)))
    if any(isinstance(part, list) for part in done):
        filled.holes.append((list(way), done))
        return None
    return "".join(part for part in done if isinstance(part, str))


def as_text(value: Any) -> str:
    """Write a value into a text: texts as they are, anything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def look_up(reference: Reference, scope: Mapping[str, Any], skipped: Collection[str] = ()) -> Any:
    """Give what *reference* leads to; raises NoSuchValue."""
    way = reference.way
    if reference.root not in scope:
        msg = f"{reference.written} leads nowhere: there is no {reference.root!r} here"
        raise NoSuchValue(msg)
    if reference.root == "steps" and way and way[0] in skipped:
        return None
    value, passed = scope[reference.root], reference.root
    for part in way:
        if isinstance(part, int) and isinstance(value, list) and part < len(value):
            value, passed = value[part], f"{passed}[{part}]"
        elif isinstance(part, str) and isinstance(value, Mapping) and part in value:
            value, passed = value[part], f"{passed}.{part}"
        else:
            msg = f"{reference.written} leads nowhere: {passed} {_lacks(value, part)}"
            raise NoSuchValue(msg)
    return value


def _lacks(value: Any, part: str | int) -> str:
    if isinstance(part, int):
        return f"has {len(value)} items" if isinstance(value, list) else f"is {_kind(value)}"
    if isinstance(value, Mapping):
        return f"has {shown(', '.join(map(str, value)))}" if value else "is empty"
    return f"is {_kind(value)}"


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def close(filled: Filled, variables: Mapping[str, str]) -> Any:
    """Put the environment's values in as well; the value is made anew."""
    value = filled.value
    for way, parts in filled.holes:
        text = "".join(part if isinstance(part, str) else variables[part[0]] for part in parts)
        value = _put(value, way, text)
    return value


def _put(value: Any, way: list[str | int], text: str) -> Any:
    if not way:
        return text
    copy: Any = dict(value) if isinstance(value, Mapping) else list(value)
    copy[way[0]] = _put(copy[way[0]], way[1:], text)
    return copy

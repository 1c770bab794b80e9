"""A definition's file: plain data as JSON has them, and the line on which each part stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

#: the way to a part: keys and indexes
Way = tuple[str | int, ...]

#: parts that a file may have, and how deep they may be nested: aliases multiply them
MOST_PARTS, DEEPEST = 50_000, 60
#: bytes of a file
LONGEST = 1_000_000
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of a definition; *line* is 0 where there are no lines."""

    problem: str
    way: Way = ()
    line: int = 0
    file: str = ""

    def __str__(self) -> str:
        place = ":".join(filter(None, [self.file, str(self.line or "")]))
        return ": ".join(filter(None, [place, written(self.way), self.problem]))


def written(way: Way) -> str:
    """Write the way to a part: `steps[2].input.url`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in way).lstrip(".")


@dataclass(slots=True)
class Source:
    """What a file, or a value at hand, says; *faults* are those of its form."""

    data: Any
    file: str = ""
    lines: dict[Way, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, problem: str, way: Way = ()) -> Fault:
        """Say that something is wrong at *way*, on the line of the nearest part that has one."""
        near = next((way[:end] for end in range(len(way), -1, -1) if way[:end] in self.lines), None)
        return Fault(problem, way, 0 if near is None else self.lines[near], self.file)


def read_file(path: Path) -> Source:
    """Read a file of YAML, of which JSON is a part; what is wrong with it is among its faults."""
    file = str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        return Source(None, file, faults=[Fault(f"it cannot be read: {error.strerror}", file=file)])
    if len(raw) > LONGEST:
        problem = f"it has {len(raw):,} bytes; a definition has {LONGEST:,} at most"
        return Source(None, file, faults=[Fault(problem, file=file)])
    return read_text(raw.decode("utf-8", "replace"), file)


def read_text(text: str, file: str = "") -> Source:
    """Read YAML as `read_file` does."""
    source = Source(None, file)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        source.data = _Reading(source).plain(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        said = " ".join(filter(None, [error.context, error.problem]))
        source.faults.append(Fault(f"it is no YAML: {said}", (), line, file))
    except (yaml.YAMLError, RecursionError) as error:
        said = str(error).splitlines()[0]
        source.faults.append(Fault(f"it is no YAML: {said}", (), 0, file))
    return source


class _Loader(yaml.SafeLoader):
    """Makes nodes; a plain scalar is what JSON would make of it, so `on` and `1:30` are text."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  as its base has it


for _kind, _pattern, _first in (
    ("bool", r"true|false|True|False", "tfTF"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-0123456789"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), list(_first))


class _Reading:
    """Turns nodes into plain data, and notes their lines."""

    def __init__(self, source: Source) -> None:
        self._source, self._left = source, MOST_PARTS

    def plain(self, node: yaml.Node, way: Way) -> Any:
        """Give the data of *node*; raises YAMLError for too many."""
        self._left -= 1
        if self._left < 0 or len(way) > DEEPEST:
            msg = f"it has over {MOST_PARTS:,} parts, or more than {DEEPEST} levels"
            raise yaml.YAMLError(msg)
        self._source.lines.setdefault(way, node.start_mark.line + 1)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, way)
            case yaml.SequenceNode() if node.tag == f"{_TAG}seq":
                return [self.plain(each, (*way, n)) for n, each in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node, way)
        return self._refuse(node, way)

    def _mapping(self, node: yaml.MappingNode, way: Way) -> Any:
        if node.tag != f"{_TAG}map":
            return self._refuse(node, way)
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            inside, line = (*way, key), key_node.start_mark.line + 1
            if key in found:
                problem = f"{key!r} stands here twice; the first is on line "
                self._fault(f"{problem}{self._source.lines[inside]}", inside, line)
            self._source.lines[inside] = line
            found[key] = self.plain(value_node, inside)
        return found

    def _scalar(self, node: yaml.ScalarNode, way: Way) -> Any:
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text) if len(text) < 20 else float(text)  # noqa: PLR2004  64 bits
            case "float":
                return float(text)
        return self._refuse(node, way)

    def _refuse(self, node: yaml.Node, way: Way) -> None:
        problem = f"{node.tag.removeprefix(_TAG)} is none of JSON's values"
        self._fault(problem, way, node.start_mark.line + 1)

    def _fault(self, problem: str, way: Way, line: int) -> None:
        self._source.faults.append(Fault(problem, way, line, self._source.file))

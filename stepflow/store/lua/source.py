"""
The text of the Lua scripts: they are written with names, and sent with positions.

A script begins with its contract in prose, then come lines for the machine. A `*` marks a list, and
`--@` with three spaces or more continues the line above:

    --@ include x                     the functions of lib/x.lua, and of what that includes in turn
    --@ lazily x: f                   the function f of lib/x.lua, which is made when it is called
    --@ insert x                      the statements of lib/x.lua, which use the script's names
    --@ names runs/other              the keys and arguments of that script, before its own
    --@ keys run data hook*           KEYS: locals `run_key`, `data_key`, and the table `hook_keys`
    --@ args rev token fields*        ARGV: locals `rev`, `token`, and the list `fields`
    --@ constants CLEANUP_STARTED     a value of `Cleanup`, `Parked` or `RunState` as a local
    --@ unpack parent_keys: run maps  locals for the items of a table
    --@ items fork: first following   locals for the items of a list of arguments

KEYS are the single keys, then the lists. ARGV are the single arguments, the length of each list of
keys but the last, then each list of arguments behind its length; `lib/lists.lua` reads those. What
is included stands above the names and cannot use them: it is given what it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from stepflow.core.run import Cleanup, Parked, RunState

_ENUMS: dict[str, type[Enum]] = {"CLEANUP": Cleanup, "PARKED": Parked, "STATE": RunState}
_FOLDER = Path(__file__).parent
_CONTINUED = re.compile(r"\n[ \t]*--@ {3,}")
#: before what a library defines at its top level, and the name of that
_PARTS = re.compile(r"^(?=local )", re.MULTILINE)
_DEFINED = re.compile(r"local (?:function )?(\w+)")
_KINDS = {"include", "insert", "lazily", "names", "keys", "args", "constants", "unpack", "items"}
_WORD = re.compile(r"\w+")
_LINE = re.compile(r"^( *)--@ (\w+) (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Names:
    """What a script calls its keys, or its arguments: the single ones, then the lists."""

    single: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    @classmethod
    def read(cls, words: Sequence[str]) -> Names:
        """Read them as a header has them; a list ends in `*`."""
        return cls(
            tuple(word for word in words if not word.endswith("*")),
            tuple(word[:-1] for word in words if word.endswith("*")),
        )

    def __add__(self, other: Names) -> Names:
        return Names(self.single + other.single, self.lists + other.lists)


@dataclass(frozen=True, slots=True)
class Source:
    """One file of Lua: its text, the files of lib/ that it includes, the names in its header."""

    text: str
    includes: tuple[str, ...]
    keys: Names
    args: Names
    #: libraries of which one function each is made when it is called: its name, and the library
    lazies: tuple[str, ...] = ()


@cache
def read_source(name: str) -> Source:
    """Read `lua/<name>.lua`."""
    text = _CONTINUED.sub(" ", (_FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
    lines = [(kind, words) for _, kind, words in _LINE.findall(text)]
    if unknown := {kind for kind, _ in lines} - _KINDS:
        raise ValueError(f"lua/{name}.lua has lines that nothing reads: {', '.join(unknown)}")
    keys, args = Names.read(_words(lines, "keys")), Names.read(_words(lines, "args"))
    for other in _words(lines, "names"):
        keys, args = read_source(other).keys + keys, read_source(other).args + args
    lazies = tuple(words for kind, words in lines if kind == "lazily")
    return Source(text, tuple(_words(lines, "include")), keys, args, lazies)


def _words(lines: Sequence[tuple[str, str]], wanted: str) -> list[str]:
    return [word for kind, words in lines if kind == wanted for word in words.split()]


def unpacked(name: str, table: str) -> tuple[str, ...]:
    """Give the names that `lua/<name>.lua` unpacks *table* into."""
    [names] = re.findall(rf"--@ (?:unpack|items) {table}: (.+)", read_source(name).text)
    return tuple(names.split())


def expand(name: str) -> tuple[str, Names, Names]:
    """Give the text of a script as it is sent, and the names of its keys and its arguments."""
    script = read_source(name)
    parts = [f"{_bindings(script.keys, script.args)}\n{_lean(script.text)}"]
    used = set(_WORD.findall(parts[0]))
    parts[0] = "\n".join([*map(_lazy, script.lazies), parts[0]])
    # Redis makes each function of a script anew for each call: one that is not used costs time
    for library in reversed(_included(script)):
        for part in reversed(_parts_of(library)):
            if not part.name or part.name in used:
                parts.append(part.text)
                used |= part.words
    return "\n".join(reversed(parts)), script.keys, script.args


@cache
def _lazy(words: str) -> str:
    """
    Give a function that makes, when it is called with anything, what stands in a library.

    Redis makes each function of a script for each call: those that few calls need wait for them.
    """
    library, _, name = words.partition(": ")
    source = read_source(f"lib/{library}")
    used, parts = {name}, list[str]()
    for each in reversed([*_included(source), library]):
        for part in reversed(_parts_of(each)):
            if not part.name or part.name in used:
                parts.append(part.text)
                used |= part.words
    inner = "\n".join(reversed(parts))
    head = f"local function {name}(...)\nif select('#', ...) == 0 then return end"
    return f"{head}\n{inner}\nreturn {name}(...)\nend"


@dataclass(frozen=True, slots=True)
class Part:
    """A function or a constant of a library: its name, its text, and the words in it."""

    name: str
    text: str
    words: frozenset[str]


@cache
def _parts_of(library: str) -> tuple[Part, ...]:
    """Take a library apart, what is made lazily first; what defines nothing has no name."""
    texts = [text.rstrip() for text in _PARTS.split(library_text(library))]
    names = [_DEFINED.match(text) for text in texts]
    lazies = read_source(f"lib/{library}").lazies
    return (
        *(Part(words.partition(": ")[2], _lazy(words), frozenset()) for words in lazies),
        *(
            Part("" if name is None else name[1], text, frozenset(_WORD.findall(text)))
            for name, text in zip(names, texts, strict=True)
            if text
        ),
    )


def library_text(name: str) -> str:
    """Give all of `lua/lib/<name>.lua` as a script would have it: what tests evaluate."""
    return _lean(read_source(f"lib/{name}").text)


def _included(source: Source, seen: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Name what *source* includes, each once and after what it needs itself."""
    for name in source.includes:
        if name not in seen:
            seen = (*_included(read_source(f"lib/{name}"), seen), name)
    return seen


def _written(line: re.Match[str]) -> str:
    """Give the Lua that a machine-read line stands for where it stands."""
    indent, kind, words = line.groups()
    if kind == "constants":
        return "\n".join(f"local {name} = '{constant(name)}'" for name in words.split())
    if kind == "insert":
        return read_source(f"lib/{words}").text
    if kind in {"unpack", "items"}:
        table, _, names = words.partition(": ")
        return f"{indent}local {', '.join(names.split())} = {kind}({table})"
    return ""


def constant(name: str) -> str:
    """Give the value of `CLEANUP_STARTED` and its like as Redis holds it."""
    enum, _, member = name.partition("_")
    return str(_ENUMS[enum][member].value)


def _bindings(keys: Names, args: Names) -> str:
    """Give the Lua that binds names to KEYS and ARGV."""
    lines = [
        *_singles("KEYS", [f"{name}_key" for name in keys.single]),
        *_singles("ARGV", args.single),
    ]
    counts = len(args.single)
    lines += _key_lists(keys.lists, len(keys.single), counts)
    lines += _arg_lists(args.lists, counts + len(keys.lists[:-1]))
    return "\n".join(lines)


def _singles(array: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"local {', '.join(names)} = unpack({array}, 1, {len(names)})"


def _key_lists(names: Sequence[str], singles: int, counts: int) -> Iterator[str]:
    if not names:
        return
    tables = [f"{name}_keys" for name in names]
    yield "local NO_KEYS = {}"
    yield f"local {', '.join(tables)} = {', '.join('NO_KEYS' for _ in names)}"
    yield f"if #KEYS > {singles} then"
    yield f"local at = {singles}"
    for number, table in enumerate(tables, counts + 1):
        last = "#KEYS" if table == tables[-1] else f"at + ARGV[{number}]"
        yield f"{table} = {{}}"
        yield f"for i = at + 1, {last} do {table}[i - at] = KEYS[i] end"
        yield f"at = at + #{table}"
    yield "end"


def _arg_lists(names: Sequence[str], before: int) -> Iterator[str]:
    place = str(before + 1)
    for name in names:
        yield f"local {name} = {place}"
        place = f"{name} + 1 + ARGV[{name}]"


def _lean(text: str) -> str:
    """Put Lua in the place of machine-read lines, and leave out comments and empty lines."""
    lines = (line for line in _LINE.sub(_written, text).splitlines() if line.strip())
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))

"""
The text of the Lua scripts: they are written with names, and sent with positions.

A script begins with its contract in prose, then come lines for the machine. A `*` marks a list, and
`--@` with three spaces or more continues the line above:

    --@ include x                     the functions of lib/x.lua, and of what that includes in turn
    --@ keys run data hook*           KEYS: locals `run_key`, `data_key`, and the table `hook_keys`
    --@ args rev token fields*        ARGV: locals `rev`, `token`, and the table `fields`
    --@ constants CLEANUP_STARTED     a value of `Cleanup`, `Parked` or `RunState` as a local
    --@ unpack parent_keys: run maps  locals for the items of a table (empty: all nil)

KEYS are the single keys, then the lists. ARGV are the single arguments, the length of each list of
keys but the last, then each list of arguments behind its length. A file of lib/ with lines `keys`
or `args` of its own is a part of a script: its names come before the script's, and only such a file
sees them. All other files of lib/ stand above the names and are given what they need.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files

from stepflow.core.run import Cleanup, Parked, RunState

_ENUMS: dict[str, type[Enum]] = {"CLEANUP": Cleanup, "PARKED": Parked, "STATE": RunState}
_CONTINUED = re.compile(r"\n[ \t]*--@ {3,}")
_LINE = re.compile(r"^[ \t]*--@ (\w+) (.+)$", re.MULTILINE)

#: items of a list that Lua may push on its stack at once; the stack holds 8000
_MOST_UNPACKED = 1000
_SLICE = f"""\
local NO_ITEMS = {{}}
local function slice(items, first, count)
  if count < 1 then return NO_ITEMS, first end
  if count <= {_MOST_UNPACKED} then
    return {{unpack(items, first, first + count - 1)}}, first + count
  end
  local part = {{}}
  for i = 1, count do part[i] = items[first + i - 1] end
  return part, first + count
end
"""


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
    """One file of Lua: its text, what it includes, and the names in its header."""

    text: str
    includes: tuple[str, ...]
    keys: Names
    args: Names

    @property
    def is_part(self) -> bool:
        """Whether it has names of its own, which it shares with the script that includes it."""
        return self.keys != Names() or self.args != Names()


@cache
def read_source(name: str) -> Source:
    """Read `lua/<name>.lua`."""
    path = files("stepflow.store") / "lua" / f"{name}.lua"
    text = _CONTINUED.sub(" ", path.read_text(encoding="utf-8"))
    lines = _LINE.findall(text)
    return Source(
        text,
        tuple(words for kind, words in lines if kind == "include"),
        Names.read(_words(lines, "keys")),
        Names.read(_words(lines, "args")),
    )


def _words(lines: Sequence[tuple[str, str]], wanted: str) -> list[str]:
    return [word for kind, words in lines if kind == wanted for word in words.split()]


def unpacked(name: str, table: str) -> tuple[str, ...]:
    """Give the names that `lua/<name>.lua` unpacks *table* into."""
    [names] = re.findall(rf"--@ unpack {table}: (.+)", read_source(name).text)
    return tuple(names.split())


def expand(name: str) -> tuple[str, Names, Names]:
    """Give the text of a script as it is sent, and the names of its keys and its arguments."""
    script = read_source(name)
    included = [read_source(f"lib/{part}") for part in _included(script)]
    parts = [source for source in included if source.is_part]
    keys, args = Names(), Names()
    for source in (*parts, script):
        keys, args = keys + source.keys, args + source.args
    texts = [source.text for source in included if not source.is_part]
    texts += [_bindings(keys, args), *(source.text for source in parts), script.text]
    return _lean("\n".join(_LINE.sub(_written, text) for text in texts)), keys, args


def _included(source: Source, seen: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Name what *source* includes, each once and after what it needs itself."""
    for name in source.includes:
        if name not in seen:
            seen = (*_included(read_source(f"lib/{name}"), seen), name)
    return seen


def _written(line: re.Match[str]) -> str:
    """Give the Lua that a machine-read line stands for where it stands."""
    if line[1] == "constants":
        return "\n".join(f"local {name} = '{constant(name)}'" for name in line[2].split())
    if line[1] == "unpack":
        table, _, names = line[2].partition(": ")
        return f"local {', '.join(names.split())} = unpack({table})"
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
    if keys.lists or args.lists:
        counts = len(args.single) + len(keys.lists[:-1])
        lines.append(f"{_SLICE}local key_at, arg_at = {len(keys.single) + 1}, {counts + 1}")
        lines += [*_key_lists(keys.lists, len(args.single)), *_arg_lists(args.lists)]
    return "\n".join(lines)


def _singles(array: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"local {', '.join(names)} = unpack({array}, 1, {len(names)})"


def _key_lists(names: Sequence[str], singles: int) -> Iterator[str]:
    for number, name in enumerate(names, 1):
        is_last = number == len(names)
        count = "#KEYS - key_at + 1" if is_last else f"tonumber(ARGV[{singles + number}])"
        yield f"local {name}_keys"
        yield f"{name}_keys, key_at = slice(KEYS, key_at, {count})"


def _arg_lists(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield f"local {name}"
        yield f"{name}, arg_at = slice(ARGV, arg_at + 1, tonumber(ARGV[arg_at]))"


def _lean(text: str) -> str:
    lines = (line for line in text.splitlines() if line.strip())
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))

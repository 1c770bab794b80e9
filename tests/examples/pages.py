"""
The pages that a user reads, and the code blocks in them.

A *walk-through* is a page whose blocks are files, commands and what they print, in the order in
which its reader meets them. On every other page the Python blocks run one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WALKTHROUGHS = [ROOT / "README.md", *sorted((ROOT / "docs" / "tutorial").glob("*.md"))]
OTHERS = [page for page in PAGES if page not in WALKTHROUGHS]

#: the languages of blocks; each but `python` and `console` is only shown
LANGUAGES = {"python", "console", "sh", "text", "toml", "ini", "json", "yaml", "js"}
#: what MyST makes of a fence, no code of ours
DIRECTIVES = {"{toctree}", "{include}", "{eval-rst}"}

_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*) -->\n+)?^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)"
    r"^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
#: a file's name stands at the end of the line before its block
_FILE = re.compile(r"`([\w/]+\.\w+)`[^`\n]*:\n\n\Z")
_WORKER = re.compile(r"`((?:stepflow (?:worker|dev)|uvicorn) [\w.]+:\w+[^`]*)`")
_STOP = "<!-- the reader stops the workers -->"


@dataclass(frozen=True)
class Block:
    """One fenced block; *file* is the name that the page gives it, *mark* the comment above it."""

    language: str
    text: str
    file: str | None
    mark: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    source = page.read_text()
    for found in _FENCE.finditer(source):
        before = source[: found.start()]
        named = _FILE.search(before)
        text = dedent(found["text"])
        line = source[: found.start("text")].count("\n") + 1
        yield Block(found["language"], text, named and named[1], found["mark"] or "", line)


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def walk(page: Path) -> Iterator[tuple[str, str, str]]:
    """
    Yield what the reader of a walk-through does, in order.

    ("write", file, text), ("start", command, ""), ("stop", "", ""), ("type", command, output).
    """
    source = page.read_text()
    at = 0
    for found in _FENCE.finditer(source):
        prose = source[at : found.start()]
        at = found.end()
        yield from _prose(prose)
        named = _FILE.search(source[: found.start()])
        text = dedent(found["text"])
        if found["language"] == "console":
            for command, printed in commands(text):
                yield "type", command, printed
        elif named:
            yield "write", named[1], text
    yield from _prose(source[at:])


def _prose(prose: str) -> Iterator[tuple[str, str, str]]:
    pattern = re.compile(f"{_WORKER.pattern}|({re.escape(_STOP)})")
    for found in pattern.finditer(prose):
        yield ("stop", "", "") if found[2] else ("start", found[1], "")


def commands(block: str) -> list[tuple[str, str]]:
    """Split a console block into (command, what it prints)."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))

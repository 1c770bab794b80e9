"""What the pages have a reader type is there: each verb of `stepflow`, and each option of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stepflow.cli.main import cli
from tests.examples.pages import PAGES, ROOT, blocks

#: pages that tell what was, or is not yet
OTHER_PAGES = {"changelog.md"}
#: `stepflow verb ...` in a line of prose, and what a reader types in a block
_IN_PROSE = re.compile(r"`stepflow ([^`\n]+)`")
_IN_BLOCK = re.compile(r"^(?:\$ )?stepflow (.+)$", re.MULTILINE)
_WORD = re.compile(r"[a-z][a-z-]*")


def typed(page: Path) -> Iterator[str]:
    """Yield what follows the word `stepflow` wherever *page* has somebody type it."""
    yield from _IN_PROSE.findall(re.sub(r"[ ]*\n[ ]*", " ", page.read_text()))
    for block in blocks(page):
        if block.language in {"sh", "console"}:
            yield from _IN_BLOCK.findall(block.text)


def problem(line: str) -> str | None:
    """Say which word of a command line is no verb, or no option of it; None when all are."""
    command: click.Command = cli
    for word in re.sub(r"\s#.*", "", line).split():
        if isinstance(command, click.Group) and _WORD.fullmatch(word):
            below = command.get_command(click.Context(command), word)
            if below is None:
                return f"{line!r}: no verb {word!r}"
            command = below
        elif re.fullmatch(r"--?[a-z][a-z-]*", word) and word not in options(command):
            return f"{line!r}: no option {word!r} of {command.name}"
    return None


def options(command: click.Command) -> set[str]:
    given = [name for option in command.params for name in (*option.opts, *option.secondary_opts)]
    return {*given, "--help", "-h"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_has_its_reader_type_is_there(page):
    if page.name in OTHER_PAGES:
        return
    assert [found for line in typed(page) if (found := problem(line)) is not None] == []


@pytest.mark.parametrize(
    "line", ["status", "schedules run nightly", "show RUN --very-loud", "retry --whre x"]
)
def test_a_command_that_is_not_there_is_found(line):
    """The negative control."""
    assert problem(line) is not None

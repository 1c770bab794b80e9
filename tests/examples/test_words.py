"""What a user reads is plain English: phrases that had to be rewritten do not come back."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
import pytest

import stepflow
from stepflow.cli.main import cli
from tests.examples.pages import PAGES, ROOT

#: pages for those who change stepflow's code, or that tell what was
OTHER_PAGES = {"architecture.md", "guarantees.md", "changelog.md", "developers.md"}
#: phrases of no field: translated, clever or private
PHRASES = re.compile(
    r"\b(anew|put (it )?away|last word|an end that came|wish(es)? that|in words alone|heed(s|ed)?"
    r"|befall|is done by nobody|held by nobody|knows nothing of|the world belongs|asked of `?ctx"
    r"|whoever asks|the last thing remembered|what it remembers|tell us"
    r"|without a word|stands in clear|begun anew|the blame)\b",
    re.IGNORECASE,
)


def helps(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    texts = [command.help or "", command.short_help or ""]
    texts += [option.help or "" for option in command.params if isinstance(option, click.Option)]
    yield path, "\n".join(texts)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from helps(below, f"{path} {name}")


def docstrings() -> Iterator[tuple[str, str]]:
    for name in stepflow.__all__:
        value = getattr(stepflow, name)
        yield name, inspect.getdoc(value) or ""
        for member, what in vars(value).items() if inspect.isclass(value) else ():
            if not member.startswith("_"):
                yield f"{name}.{member}", inspect.getdoc(what) or ""


def pages() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        user_page = ROOT / "docs" / "explanation" / "guarantees.md"
        is_other = page.name in OTHER_PAGES or page.parent.name == "architecture"
        if not is_other or page == user_page:
            yield str(page.relative_to(ROOT)), page.read_text()


@pytest.mark.parametrize(
    "texts", [pages(), docstrings(), helps(cli, "stepflow")], ids=["pages", "docstrings", "helps"]
)
def test_no_phrase_of_no_field_is_in_what_a_user_reads(texts):
    """[U20]"""
    found = [(where, hit[0]) for where, text in texts for hit in PHRASES.finditer(text)]
    assert found == []


def test_a_phrase_is_found_where_it_stands():
    """[U20] The negative control."""
    assert PHRASES.search("The attempts are counted Anew.")
    assert not PHRASES.search("a newer renewal")

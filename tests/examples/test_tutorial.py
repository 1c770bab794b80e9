"""The tutorial cannot rot: this test goes through it as its reader does."""

from __future__ import annotations

import re

import pytest

from tests.examples.pages import ROOT, WALKTHROUGHS

FOLDER = ROOT / "docs" / "tutorial"
INDEX = (FOLDER / "index.md").read_text()
PAGES = [
    FOLDER / f"{name}.md"
    for name in re.findall(r"^[\w-]+$", INDEX.split("```{toctree}")[1], re.MULTILINE)
]


def test_the_index_lists_every_page():
    assert {*PAGES, FOLDER / "index.md", ROOT / "README.md"} == set(WALKTHROUGHS)


@pytest.mark.crash  # a minute of real workers, some of which are stopped
def test_the_tutorial_does_what_it_says(reader):
    """[U19] Page after page, in one folder, as its reader goes through it."""
    for page in PAGES:
        reader.read(page)
        reader.stop()

"""The README cannot rot: this test does what it tells its reader to do."""

from __future__ import annotations

from tests.examples.pages import ROOT


def test_the_readme_does_what_it_says(reader):
    """[U18] The README's quick start and all that follows, as its reader types it."""
    reader.read(ROOT / "README.md")

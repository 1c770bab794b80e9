"""The README cannot rot: this test does what it tells its reader to do."""

from __future__ import annotations

import re

import pytest

from tests.examples.pages import ROOT


@pytest.mark.crash
def test_the_readme_does_what_it_says(reader):
    """[U18] The README's quick start and all that follows, as its reader types it."""
    reader.read(ROOT / "README.md")


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def test_every_figure_of_its_table_stands_in_the_results():
    """[U18] But for rounding."""
    table = (
        (ROOT / "README.md").read_text().split("## How fast it is")[1].split("A sleeping run")[0]
    )
    rows = [line.split("|")[2:4] for line in table.splitlines() if re.match(r"\| (?!\||-)", line)]
    shown = [number for row in rows for cell in row for number in numbers(cell)]
    measured = numbers((ROOT / "benchmarks" / "RESULTS.md").read_text())
    assert len(shown) == 14
    assert [
        one for one in shown if not any(abs(one - each) <= 0.015 * one for each in measured)
    ] == []

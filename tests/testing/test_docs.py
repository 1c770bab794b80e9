"""docs/testing.md shows what runs here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from stepflow.testing import Harness

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text()


def test_the_page_shows_the_story_word_for_word() -> None:
    story = (ROOT / "tests" / "testing" / "test_story.py").read_text()
    _, _, code = story.partition('"""\n\n')
    assert f"```python\n{code}```\n" in PAGE


def test_every_call_of_the_harness_in_the_table_is_one() -> None:
    named = re.findall(r"^\| `(?:await )?h\.(\w+)", PAGE, re.MULTILINE)
    assert named
    source = ast.parse((ROOT / "stepflow" / "testing" / "harness.py").read_text())
    attributes = {node.attr for node in ast.walk(source) if isinstance(node, ast.Attribute)}
    assert [name for name in named if not hasattr(Harness, name) and name not in attributes] == []

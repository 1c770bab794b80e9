"""docs/why.md has every code and no other [O1]."""

from __future__ import annotations

import re
from pathlib import Path

from stepflow.engine.why import CODES
from stepflow.engine.why.make import word_of

DOCS = Path(__file__).parents[2] / "docs" / "why.md"


def test_the_docs_list_each_code_with_its_meaning():
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \|", DOCS.read_text(), re.MULTILINE)
    assert dict(rows) == dict(CODES)


def test_every_code_has_a_word():
    assert all(word_of(code) for code in CODES)

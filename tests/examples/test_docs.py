"""The pages under docs/ name every setting, exit code and script, and only files that exist."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepflow.cli.errors import Exit
from stepflow.settings import Settings
from tests.examples.pages import PAGES

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs" / "reference" / "settings.md").read_text()
EXIT_CODES = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
ARCHITECTURE = (
    "".join(page.read_text() for page in (ROOT / "docs").glob("architecture*/*.md"))
    + (ROOT / "docs" / "architecture.md").read_text()
)


def docstrings_of(model: type) -> dict[str, str]:
    """The sentence below each field of a class of settings."""
    (body,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: " ".join(said.value.value.split())
        for field, said in itertools.pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(said, ast.Expr)
        and isinstance(said.value, ast.Constant)
    }


def settings_rows() -> Iterator[str]:
    """One table row for each setting: its variable, its default, what its docstring says."""
    for group, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        for name, setting in (inner or {group: field}).items():
            variable = f"STEPFLOW_{group}_{name}" if inner else f"STEPFLOW_{name}"
            default = setting.default
            shown = f"{default:,.15g}" if isinstance(default, int | float) else f"{default or ''}"
            said = docstrings_of(field.annotation if inner else Settings)[name]
            yield f"| `{variable.upper()}` | {shown} | {said} |"


def test_every_setting_is_listed_with_its_default_and_its_sentence():
    assert [row for row in settings_rows() if row not in SETTINGS] == []


def test_no_setting_is_listed_that_is_no_more():
    table = SETTINGS.split("Four more")[0]
    assert len(re.findall(r"^\| `", table, re.MULTILINE)) == len(list(settings_rows()))


def test_every_exit_code_is_listed():
    assert [code for code in Exit if f"| {code.value} |" not in EXIT_CODES] == []


def test_every_script_is_told_of():
    scripts = [
        path.stem
        for path in (ROOT / "stepflow" / "store" / "lua").rglob("*.lua")
        if "lib" not in path.parts
    ]
    assert [name for name in scripts if f"`{name}`" not in ARCHITECTURE] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_functions_named_beside_a_file_are_in_it(page):
    """`[worker/commit.py](…) `commit`` names a function of that file."""
    pairs = re.findall(r"\]\(([^)]+\.py)\)\s+`(\w+)`", page.read_text())
    assert [
        name for path, name in pairs if f"def {name}" not in (page.parent / path).read_text()
    ] == []


def test_every_example_is_listed():
    """But for what another example asks."""
    page = (ROOT / "docs" / "reference" / "examples.md").read_text()
    there = {path for path in (ROOT / "examples").rglob("*.py") if path.stem != "members"}
    listed = re.findall(r"\]\(\.\./\.\./([^)]+\.py)\)", page)
    assert sorted(listed) == sorted(str(path.relative_to(ROOT)) for path in there)

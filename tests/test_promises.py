"""docs/guarantees.md names a test for each promise, and the test names the promise."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = re.findall(
    r"^\| ([ACDFBGOUEKTLMH]\d+) \|.*\| ([^|]*) \|$",
    (TESTS.parent / "docs" / "guarantees.md").read_text(),
    re.MULTILINE,
)


@cache
def docstrings_in(path: str) -> dict[str, str]:
    """Give what the functions of a test file say, each with what the file says."""
    tree = ast.parse((TESTS / path).read_text())
    said = ast.get_docstring(tree)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        node.name: f"{said}\n{ast.get_docstring(node)}"
        for body in (tree.body, *(each.body for each in classes))
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def docstring_of(named: str) -> str:
    path, _, name = named.partition("::")
    assert name in docstrings_in(path), f"there is no test {named}"
    return docstrings_in(path)[name]


def test_every_promise_of_the_core_is_listed() -> None:
    assert [number for number, _ in ROWS if number.startswith("C")] == [
        f"C{n}" for n in range(1, 42)
    ]


def test_every_promise_of_what_was_mended_is_listed() -> None:
    assert sorted({int(number[1:]) for number, _ in ROWS if number.startswith("B")}) == list(
        range(1, 38)
    )


def test_every_promise_of_the_daily_surface_is_listed() -> None:
    assert [number for number, _ in ROWS if number.startswith("U")] == [
        f"U{n}" for n in range(1, 23)
    ]


@pytest.mark.parametrize(("number", "tests"), ROWS)
def test_a_promise_names_tests_that_name_it(number: str, tests: str) -> None:
    named = re.findall(r"`([^`]+)`", tests)
    assert named, f"{number} has no test"
    for test in named:
        assert f"[{number}]" in docstring_of(test), f"{test} does not say {number}"

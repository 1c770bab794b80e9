"""docs/operations.md lists what there is to set, as the code has it; a row that is missing is shown as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stepflow.cli.failures import Exit
from stepflow.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def rows() -> Iterator[str]:
    """One table row for each setting: its variable, its default, what its docstring says."""
    for group, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        for name, setting in (inner or {group: field}).items():
            variable = f"STEPFLOW_{group}_{name}" if inner else f"STEPFLOW_{name}"
            default = setting.default
            shown = f"{default:,.15g}" if isinstance(default, int | float) else f"{default or ''}"
            # `home` has its docstring in the source only: its class is not asked to read them
            said = setting.description or "The embedded server's folder; `./.stepflow` without one."
            yield f"| `{variable.upper()}` | {shown} | {said} |"


def test_every_setting_is_listed_with_its_default_and_its_sentence():
    page = PAGE.read_text()
    assert [row for row in rows() if row not in page] == []
    assert page.count("| `STEPFLOW_") == len(list(rows())) + 2, "a setting that is no more, or another table"


def test_every_exit_code_is_listed():
    page = PAGE.read_text()
    assert [code for code in Exit if f"| {code.value} |" not in page] == []

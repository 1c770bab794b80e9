"""Conditions on runs, as `stepflow resume --where` takes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stepflow.core.run import RunStatus

#: what a condition may be about, beside headers
_FIELDS = ("runner", "version", "queue", "id", "reason")
#: and what those begin with
_HEADER = "header."


@dataclass(frozen=True)
class Conditions:
    """Conditions that must all hold: (name, sign, text), the sign `=`, or `~` for a part."""

    parts: Sequence[tuple[str, str, str]] = ()

    def value_of(self, name: str) -> str | None:
        """Return the text that *name* has to be, if one condition says so."""
        found = (text for known, sign, text in self.parts if (known, sign) == (name, "="))
        return next(found, None)

    def hold_for(self, run: RunStatus) -> bool:
        """Say whether all of them hold for *run*."""
        return all(
            text == _held(run, name) if sign == "=" else text in _held(run, name)
            for name, sign, text in self.parts
        )


def _held(run: RunStatus, name: str) -> str:
    if name.startswith(_HEADER):
        return run.headers.get(name.removeprefix(_HEADER), "")
    return str(getattr(run, name) or "")


class ConditionsType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Conditions, such as `workflow=order reason~code`; a text with spaces stands in quotes."""

    name = "conditions"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Conditions:
        """Read the conditions."""
        if isinstance(value, Conditions):
            return value
        try:
            parts = [self._part(word, param, ctx) for word in shlex.split(str(value))]
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if not parts:
            self.fail("there is no condition in it; --all takes every paused run", param, ctx)
        return Conditions(parts)

    def _part(
        self, word: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str, str]:
        found = re.fullmatch(r"(header\.[^=~]+|[a-z]+)([=~])(.+)", word, re.DOTALL)
        name, sign, text = found.groups() if found is not None else ("", "", "")
        name = "runner" if name == "workflow" else name
        if name not in _FIELDS and not name.startswith(_HEADER):
            self.fail(
                f"{word!r} is no condition; write NAME=TEXT or NAME~TEXT with a NAME of "
                f"workflow, {', '.join(_FIELDS)} or header.NAME",
                param,
                ctx,
            )
        return name, sign, text


CONDITIONS = ConditionsType()

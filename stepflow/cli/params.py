"""Types of arguments: JSON, durations, key=value."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from shlex import quote
from typing import Any, TypeVar

import click

from stepflow.core.run import PRIORITIES
from stepflow.durations import span_s
from stepflow.errors import InvalidOption, shown
from stepflow.strict_json import parse_json
from stepflow.times import seconds

F = TypeVar("F", bound=Callable[..., Any])

#: a priority of a run
PRIORITY = click.Choice(["high", "normal", "low", *map(str, range(PRIORITIES))])


class Json(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.3
    """JSON on the command line, or "-" to read it from stdin."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the JSON."""
        if not isinstance(value, str):
            return value
        try:
            text = sys.stdin.read() if value == "-" else value
            return parse_json(text)
        except ValueError as error:
            self.fail(f"this is not JSON ({error}): {value[:60]!r}{_hint(value)}", param, ctx)
        except RecursionError:
            self.fail(f"this JSON is nested too deeply: {value[:60]!r}", param, ctx)


#: words that JSON has otherwise
_WORDS = {"yes": "true", "no": "false", "True": "true", "False": "false", "None": "null"}


def _hint(value: str) -> str:
    """Say how what is given is written as JSON, where it is a word or text without its quotes."""
    if value == "-" or value[:1] in {"{", "[", '"'}:
        return ""
    text = quote(json.dumps(value[:60], ensure_ascii=False))
    meant = (
        f"write {_WORDS[value]}, or as text" if value in _WORDS else "text has quotes of its own"
    )
    return f"; {meant}: {text}"


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Seconds, or a number with a unit: 90, 1.5s, 5m, 2h, 1d."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        text = str(value)
        found = span_s(text if text[-1:].isalpha() else f"{text.rstrip()}s")
        if found is None:
            self.fail(
                f"{shown(value)} is no duration; write seconds, or 500ms, 5m, 2h, 1d", param, ctx
            )
        try:
            return seconds(found, shown(value))
        except InvalidOption as error:
            self.fail(str(error), param, ctx)


class Pair(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """key=value."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split at the first `=`."""
        if isinstance(value, tuple):
            return value
        key, sign, content = str(value).partition("=")
        if not sign or not key:
            self.fail(f"{value!r} is not key=value", param, ctx)
        return key, content


class Since(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A moment in ISO 8601, local without an offset, or how long ago that was: 90s, 2h, 1d."""

    name = "since"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | timedelta:
        """Return the moment, or the time since then."""
        if isinstance(value, datetime | timedelta):
            return value
        try:
            return datetime.fromisoformat(str(value)).astimezone()
        except (ValueError, OverflowError):
            return timedelta(seconds=DURATION.convert(value, param, ctx))


JSON, DURATION, PAIR, SINCE = Json(), Duration(), Pair(), Since()


def limit_option(default: int) -> Callable[[F], F]:
    """Give the option `--limit` of a list, with what it is without."""
    return click.option(
        "--limit", type=click.IntRange(1), default=default, show_default=True, help="Rows at most."
    )

"""Printing: rich tables for people at a terminal, aligned text for pipes, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from stepflow.core.outcomes import CONTROLS, printable

if TYPE_CHECKING:
    from rich.table import Table

#: the colour of each state
STATE_STYLES = {
    "succeeded": "green", "failed": "bold red", "cancelled": "yellow", "running": "bold cyan",
    "cancelling": "magenta", "scheduled": "dim", "pending": "blue",
}  # fmt: skip
#: those that JSON leaves as they are, as it may write them
_IN_JSON = {code: f"\\u{code:04x}" for code in CONTROLS if code >= 0x7F}  # noqa: PLR2004


@dataclass(frozen=True)
class Output:
    """Prints what a verb answers: as JSON, as a table or as text."""

    json: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether stdout is a terminal, so that a person reads it."""
        return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def data(self, value: Any) -> None:
        """Print *value* as JSON: indented for people, one line for programs."""
        self.document(jsonable(value), indent=2 if self.is_terminal and not self.json else None)

    def document(self, value: Any, *, indent: int | None) -> None:
        """Print a JSON document."""
        click.echo(self.written(value, indent=indent))

    def written(self, value: Any, *, indent: int | None = None) -> str:
        """Write a JSON document; it escapes what the encoding of stdout lacks."""
        written = json.dumps(value, ensure_ascii=False, indent=indent)
        try:
            written.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
        except UnicodeError:
            written = json.dumps(value, indent=indent)
        return written if written.isprintable() else written.translate(_IN_JSON)

    def pieces(self, pieces: Iterable[str]) -> None:
        """Print the pieces of one document as they come."""
        for piece in pieces:
            click.echo(piece, nl=False)
        click.echo()

    def line(self, text: str) -> None:
        """Print one line of the answer."""
        click.echo(printable(text))

    def note(self, text: str) -> None:
        """Print to stderr what a person should know beside the answer."""
        click.echo(printable(text), err=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
        """Print rows under their columns; without rows, print *empty* to stderr."""
        if not rows:
            self.note(empty)
        elif self.is_terminal and has_rich():
            from rich.console import Console

            Console().print(rich_table(columns, rows))
        else:
            cells = [[" ".join(text(cell).splitlines()) or "-" for cell in row] for row in rows]
            widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
            for row in ([name.upper() for name in columns], *cells):
                click.echo(
                    "  ".join(
                        cell.ljust(width) for cell, width in zip(row, widths, strict=True)
                    ).rstrip()
                )

    def records(
        self, found: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str
    ) -> None:
        """Print what was *found*: as JSON for programs, as rows under their columns for people."""
        if self.json:
            self.data(found)
        else:
            self.table(columns, rows, empty=empty)

    def facts(self, facts: Mapping[str, Any], *, width: int) -> None:
        """Print those facts that there are, a line each; names take *width* columns."""
        for name, value in facts.items():
            if shown := text(value):
                self.line(f"{name:<{width}}{shown}")

    def said(self, document: Any, sentence: str) -> None:
        """Say what was done: as a JSON *document* for programs, in a *sentence* for people."""
        if self.json:
            self.data(document)
        else:
            self.line(sentence)

    @contextmanager
    def waiting(self, text_: str) -> Iterator[None]:
        """Show a person at stderr, for the block, what the command waits for."""
        if not sys.stderr.isatty() or self.json or not has_rich():
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(text_):
            yield


def has_rich() -> bool:
    """Whether rich is installed (the extra `dev`); without it tables are plain text."""
    return find_spec("rich") is not None


def rich_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None
) -> Table:
    """Make a table for a terminal, with coloured states."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(text(cell), STATE_STYLES.get(text(cell), "")) for cell in row))
    return table


def text(cell: Any) -> str:
    """Turn a value into the text of a cell; datetimes become local time."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return printable(str(cell))


def ago(moment: datetime | None) -> str:
    """Write how long ago *moment* was, in one unit."""
    if moment is None:
        return ""
    return span((datetime.now(UTC) - moment).total_seconds())


def span(seconds: float) -> str:
    """Write a number of seconds in one unit: s, min, h or d."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def jsonable(value: Any) -> Any:
    """Turn a value into what JSON can carry; times become ISO 8601."""
    from stepflow.hooks.body import json_value as jsonable

    return jsonable(value)

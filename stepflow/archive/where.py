"""Which archived runs are meant, and how a page of them is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, literal, or_, select, tuple_
from sqlalchemy.sql.elements import SQLCoreOperations

from stepflow.archive.given import MOST, check_labels, check_some_count, check_some_text
from stepflow.archive.rows import microseconds
from stepflow.archive.schema import labels, runs
from stepflow.core.ids import whole_number
from stepflow.core.run import ENDS
from stepflow.engine.steering.where import Condition
from stepflow.engine.steering.where import Where as Words
from stepflow.errors import InvalidOption, shown

#: a time in microseconds, and the number of a row
_CURSOR = re.compile(r"(-?[0-9]{1,18})-([0-9]{1,18})")


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """
    Conditions that a run has to meet, all of them.

    *since* and *until* bound its end, *created_since* and *created_until* (unix seconds) when it
    was submitted; *error* is a part of its error's text, in whatever case. *words* are conditions
    as `bulk` has them.
    """

    run_id: str | None = None
    state: str | None = None
    runner: str | None = None
    version: int | None = None
    queue: str | None = None
    parent: str | None = None
    is_root: bool = False
    headers: Mapping[str, str] = field(default_factory=_nothing)
    tags: Mapping[str, str] = field(default_factory=_nothing)
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None
    longer_than_s: float | None = None
    shorter_than_s: float | None = None
    created_since: float | None = None
    created_until: float | None = None
    words: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        ends = [str(end) for end in ENDS]
        if self.state is not None and self.state not in ends:
            msg = f"state is {shown(self.state)}; the archive holds ends: {', '.join(ends)}"
            raise InvalidOption(msg)
        for what in ("run_id", "runner", "queue", "parent", "error"):
            check_some_text(what, getattr(self, what))
        check_some_count("version", self.version)
        check_labels("headers", self.headers)
        check_labels("tags", self.tags)

    def reading(self, text: str | None, now: float) -> Where:
        """Give the same with the conditions in *text* beside them; raises InvalidOption."""
        if text is None:
            return self
        check_some_text("where", text)
        read = Words.parse(text, now)
        since = [each for each in (self.created_since, read.since) if each is not None]
        until = [each for each in (self.created_until, read.until) if each is not None]
        return replace(
            self, words=(*self.words, *read.conditions), created_since=max(since, default=None),
            created_until=min(until, default=None),
        )  # fmt: skip

    def conditions(self, namespace: str) -> list[ColumnElement[bool]]:
        """Give the conditions for SQL, on `stepflow_runs`."""
        return [
            runs.c.namespace == namespace, *self._same(), *self._bounds(), *self._labels(),
            *(_said(word) for word in self.words),
        ]  # fmt: skip

    def _same(self) -> Iterator[ColumnElement[bool]]:
        wanted = {
            runs.c.run_id: self.run_id, runs.c.state: self.state, runs.c.runner: self.runner,
            runs.c.version: self.version, runs.c.queue: self.queue, runs.c.parent: self.parent,
        }  # fmt: skip
        yield from (column == value for column, value in wanted.items() if value is not None)
        if self.is_root:
            yield runs.c.parent.is_(None)
        if self.error is not None:
            yield or_(
                runs.c.error.icontains(self.error, autoescape=True),
                runs.c.error_type.icontains(self.error, autoescape=True),
            )

    def _bounds(self) -> Iterator[ColumnElement[bool]]:
        if self.since is not None:
            yield runs.c.ended_us >= microseconds(self.since)
        if self.until is not None:
            yield runs.c.ended_us < microseconds(self.until)
        if self.created_since is not None:
            yield runs.c.created_us >= int(self.created_since * 1e6)
        if self.created_until is not None:
            yield runs.c.created_us <= int(self.created_until * 1e6)
        if self.longer_than_s is not None:
            yield runs.c.took_s >= self.longer_than_s
        if self.shorter_than_s is not None:
            yield runs.c.took_s < self.shorter_than_s

    def _labels(self) -> Iterator[ColumnElement[bool]]:
        for kind, wanted in (("header", self.headers), ("tag", self.tags)):
            for name, value in wanted.items():
                yield (
                    select(literal(1))
                    .where(
                        labels.c.run == runs.c.number, labels.c.kind == kind,
                        labels.c.name == name, labels.c.value == value,
                    )
                    .exists()
                )  # fmt: skip


#: the columns that words are about; an error's type and text are looked at one by one
_COLUMNS = {
    "state": runs.c.state, "runner": runs.c.runner, "queue": runs.c.queue, "id": runs.c.run_id,
    "reason": runs.c.reason,
}  # fmt: skip


def _said(word: Condition) -> ColumnElement[bool]:
    """Give one condition of a line of words as SQL."""
    kind, _, name = word.name.partition(".")
    if name:
        of = [labels.c.run == runs.c.number, labels.c.kind == kind, labels.c.name == name]
        return select(literal(1)).where(*of, _fits(labels.c.value, word)).exists()
    if word.name == "version":
        version = whole_number(word.text)
        is_one = version is not None and version <= MOST
        return runs.c.version == version if is_one else literal(0) == 1
    if word.name == "error":
        whole = runs.c.error_type + ": " + runs.c.error
        return or_(_fits(whole, word), _fits(runs.c.error_type, word))
    return _fits(_COLUMNS[word.name], word)


def _fits(column: SQLCoreOperations[Any], word: Condition) -> ColumnElement[bool]:
    """Compare as the sign says; parts and beginnings in whatever case."""
    if word.sign == "=":
        return column == word.text
    if word.sign == "^=":
        return column.istartswith(word.text, autoescape=True)
    return column.icontains(word.text, autoescape=True)


def after(cursor: str | None) -> ColumnElement[bool]:
    """Give the condition for what stands behind *cursor*; raises InvalidOption for none of ours."""
    if cursor is None:
        return and_(True)  # noqa: FBT003  SQLAlchemy's own word for no condition
    read = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) else None
    if read is None:
        msg = f"cursor {shown(cursor)} is none of the archive's; begin without one"
        raise InvalidOption(msg)
    place: tuple[Any, ...] = (int(read[1]), int(read[2]))
    return tuple_(runs.c.ended_us, runs.c.number) < place


def cursor_of(row: Mapping[Any, Any]) -> str:
    """Give the cursor that goes on behind *row*."""
    return f"{row['ended_us']}-{row['number']}"

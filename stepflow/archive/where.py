"""Which archived runs are meant, and how a page of them is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, literal, or_, select, tuple_

from stepflow.archive.rows import microseconds
from stepflow.archive.schema import labels, runs
from stepflow.core.run import ENDS
from stepflow.errors import InvalidOption, shown


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """
    Conditions that a run has to meet, all of them.

    *since* and *until* bound its end; *error* is a part of its error's text, in whatever case.
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

    def __post_init__(self) -> None:
        ends = [str(end) for end in ENDS]
        if self.state is not None and self.state not in ends:
            msg = f"state is {shown(self.state)}; the archive holds ends: {', '.join(ends)}"
            raise InvalidOption(msg)

    def conditions(self, namespace: str) -> list[ColumnElement[bool]]:
        """Give the conditions for SQL, on `stepflow_runs`."""
        return [runs.c.namespace == namespace, *self._same(), *self._bounds(), *self._labels()]

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


def after(cursor: str | None) -> ColumnElement[bool]:
    """Give the condition for what stands behind *cursor*; raises InvalidOption for none of ours."""
    if cursor is None:
        return and_(True)  # noqa: FBT003  SQLAlchemy's own word for no condition
    ended, _, number = cursor.partition("-")
    try:
        place: tuple[Any, ...] = (int(ended), int(number))
    except ValueError:
        msg = f"cursor {shown(cursor)} is none of the archive's; begin without one"
        raise InvalidOption(msg) from None
    return tuple_(runs.c.ended_us, runs.c.number) < place


def cursor_of(row: Mapping[Any, Any]) -> str:
    """Give the cursor that goes on behind *row*."""
    return f"{row['ended_us']}-{row['number']}"

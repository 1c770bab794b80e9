"""Runs by conditions, in the words that `--where` takes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepflow.client import AsyncClient
from stepflow.core.run import RunStatus
from stepflow.engine.status import Page
from stepflow.engine.steering.where import Where

#: runs looked at for a page of those that fit
MOST_SCANNED = 5_000
#: conditions that a listing takes by itself
_LISTED = ("state", "runner", "queue")
_HEADER = "header."


@dataclass(frozen=True, slots=True)
class Found:
    """Runs that fit, newest first; *cursor* goes on, after *scanned* runs were looked at."""

    runs: Sequence[RunStatus]
    cursor: str | None
    scanned: int


async def search(
    client: AsyncClient,
    text: str,
    now: float,
    *,
    limit: int,
    cursor: str | None = None,
    roots: bool = False,
) -> Found:
    """
    Find runs that fit all conditions of *text*, any run for none; raises InvalidOption.

    With *roots* only those that no run began. There may be some more than *limit* of them.
    """
    where = Where.parse(text, now) if text.strip() else Where()
    found: list[RunStatus] = []
    scanned = 0
    while True:
        page = await _listed(client, where, limit=limit, cursor=cursor, roots=roots)
        scanned += page.scanned
        found += [run for run in page.runs if where.holds_for(run)]
        cursor = page.cursor
        if cursor is None or len(found) >= limit or scanned >= MOST_SCANNED:
            return Found(found, cursor, scanned)


async def _listed(
    client: AsyncClient, where: Where, *, limit: int, cursor: str | None, roots: bool
) -> Page:
    given: dict[str, Any] = {name: where.value_of(name) for name in _LISTED}
    headers = {
        each.name.removeprefix(_HEADER): each.text
        for each in where.conditions
        if each.name.startswith(_HEADER) and each.sign == "="
    }
    return await client.list(
        **given, headers=headers, since=where.since, limit=limit, cursor=cursor, roots=roots
    )


def words_of(text: str) -> list[str]:
    """Give the conditions of a text; of one that cannot be read, the words as they stand."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def with_word(text: str, name: str, value: str | None) -> str:
    """Give a text of conditions with `name=value` in the place of what it says of *name*."""
    kept = [word for word in words_of(text) if not word.startswith(f"{name}=")]
    return shlex.join([*kept, f"{name}={value}"] if value else kept)


def is_bare(text: str) -> bool:
    """Whether a text is a word that is no condition: a run's id, or its beginning."""
    return len(text.split()) == 1 and not any(sign in text for sign in "=~")

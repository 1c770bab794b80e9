"""Runs by conditions, in the words that `--where` takes."""

from __future__ import annotations

import shlex

from stepflow.client import AsyncClient
from stepflow.engine.listing import Page


async def search(
    client: AsyncClient,
    text: str,
    *,
    limit: int,
    cursor: str | None = None,
    roots: bool = False,
    archived: bool = False,
) -> Page:
    """
    Find runs that fit all conditions of *text*, any run for none; raises InvalidOption.

    With *roots* only those that no run began, with *archived* also those of the archive.
    """
    listing = client.archive.list_both if archived else client.list
    return await listing(
        where=text.strip() or None, limit=limit, cursor=cursor, roots=roots, values=False
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

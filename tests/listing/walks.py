"""Turning the pages of a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepflow import Client


def all_ids(client: Client, limit: int = 50, **by: Any) -> list[str]:
    """Name the runs of a list, all of its pages."""
    return turned(client, lambda: None, limit=limit, **by)


def turned(client: Client, between: Callable[[], object], limit: int = 3, **by: Any) -> list[str]:
    """Turn the pages of a list, doing something between two of them."""
    found: list[str] = []
    page = client.list(limit=limit, **by)
    while True:
        assert len(page) <= limit
        found += [run.id for run in page]
        if page.cursor is None:
            return found
        between()
        page = client.list(limit=limit, cursor=page.cursor, **by)

"""The journal of a run, a page of entries at a time."""

from __future__ import annotations

from typing import Any

from stepflow.errors import InvalidOption, RunNotFound
from stepflow.hooks.body import json_value
from stepflow.times import as_datetime
from stepflow.web.pages.visit import Shown, Visit
from stepflow.web.redact import redacted_history

#: entries of a page
ENTRIES = 100
_HEADS = ("kind", "place", "name", "at", "took_ms")


async def journal(visit: Visit) -> Shown:
    """Show the entries of a journal from `from` on."""
    run_id, first = visit.path["run_id"], _number(visit.query.get("from", "0"))
    run = await visit.client.status(run_id)
    if run is None:
        raise RunNotFound(run_id)
    page = await visit.client.journal(run_id, first=first, limit=ENTRIES)
    whole = redacted_history(visit.redact, {"headers": {}, "journal": list(page.entries)})
    entries = [_shown(entry) for entry in whole["journal"]]
    values = {"run": run, "page": page, "entries": entries, "size": ENTRIES}
    return Shown("run/journal.html", values, live={"from": str(first)})


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:  # noqa: PLR2004  more than any journal has
        msg = f"from is {text[:20]!r}; it is the number of an entry, from 0"
        raise InvalidOption(msg)
    return int(text)


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    """Part an entry into its head and what it holds."""
    held = {name: part for name, part in entry.items() if name not in _HEADS}
    return {
        **{name: entry.get(name) for name in _HEADS},
        "at": as_datetime(float(entry.get("at") or 0)),
        "holds": json_value(held["value"] if set(held) == {"value"} else held or None),
    }

"""How long Redis keeps an ended run: as its settings say, or until it is archived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from stepflow.engine.outbox import ARCHIVE
from stepflow.settings import Settings


class Kept(TypedDict):
    """What the end of a run is told of how long it is kept, and whether with all that it has."""

    ttl_s: float
    output_ttl_s: float | None
    keeps_all: bool


def kept_for(runner: str, end: str, app_hooks: Sequence[Sequence[str]], settings: Settings) -> Kept:
    """
    Say how long a run of *runner* is kept after its *end*.

    One that is to be archived is held with all that it has until that is done, or for
    `archive.hold_s`; then it is let go, see `release_run`.
    """
    retention = settings.retention
    kept_s = retention.of_run(runner, end)
    if any(hook[0] == ARCHIVE for hook in app_hooks):
        return {"ttl_s": max(kept_s, settings.archive.hold_s), "output_ttl_s": None,
                "keeps_all": True}  # fmt: skip
    return {
        "ttl_s": kept_s, "output_ttl_s": retention.output_s,
        "keeps_all": retention.keeps_all(runner, end),
    }  # fmt: skip

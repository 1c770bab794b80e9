"""The archive, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepflow.archive.values import ArchivedRun, ArchivedStep
from stepflow.errors import (
    ArchiveMisconfigured,
    ArchiveUnreachable,
    InvalidRunId,
    NotArchived,
    UnreadableArchive,
)
from stepflow.hooks.body import json_value
from stepflow.web.operation import Call, Operation
from stepflow.web.redact import Redact, redacted_run, redacted_step


@dataclass(frozen=True, slots=True)
class ArchivedWhole:
    """The last archived end of a run, and its steps."""

    run: ArchivedRun
    steps: Sequence[ArchivedStep]


async def show_archived(call: Call) -> dict[str, Any]:
    """Give the last archived end of a run and its steps."""
    run = await call.client.archive.get(call.path["run_id"])
    return shown(run, await call.client.archive.steps(run), call.redact)


def shown(run: ArchivedRun, steps: Sequence[ArchivedStep], redact: Redact) -> dict[str, Any]:
    """Give an archived run and its steps as somebody may see them."""
    return {
        "run": redacted_run(redact, json_value(run)),
        "steps": [redacted_step(redact, json_value(step)) for step in steps],
    }


ARCHIVED = (
    Operation(
        "GET", "/archive/{run_id}", show_archived, "Show an archived run", ArchivedWhole,
        problems=(
            NotArchived, InvalidRunId, ArchiveMisconfigured, ArchiveUnreachable, UnreadableArchive,
        ),
    ),
)  # fmt: skip

"""Archived steps as lines of a data set: what went in, what came out, and what is known of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from stepflow.archive.archive import Archive
from stepflow.archive.given import check_names
from stepflow.archive.values import ArchivedRun, ArchivedStep
from stepflow.archive.where import Where
from stepflow.engine.history import REDACTED, without

#: the kind of the line that stands for a whole run
RUN = "run"


def lines(
    archive: Archive, where: Where, secrets: Collection[str], *, with_errors: bool
) -> Iterator[dict[str, Any]]:
    """
    Give a line for each step of the runs that fit, and one for each run, the newest run first.

    The input of a step is that of its run: what a function was called with is recorded nowhere.
    """
    check_names("redact", secrets)
    for page in archive.every(where):
        for run, steps in zip(page.runs, archive.steps_of(page.runs), strict=True):
            for line in _lines_of(run, steps):
                if with_errors or (line["error"] is None and line["output"] is not None):
                    yield _blanked(line, secrets) if secrets else line


def _lines_of(run: ArchivedRun, steps: Sequence[ArchivedStep]) -> Iterator[dict[str, Any]]:
    facts = {
        "run_id": run.id, "runner": run.runner, "version": run.version,
        "generation": run.generation, "end": run.end, "state": run.state,
        "headers": dict(run.headers), "tags": dict(run.tags),
    }  # fmt: skip
    for place, step in enumerate(steps):
        yield {
            **facts, "step": place, "kind": step.kind, "name": step.name,
            "attempt": step.attempt, "started_at": _time(step.started_at), "took_s": step.took_s,
            "input": run.payload, "output": step.value, "error": step.error,
        }  # fmt: skip
    error = None if run.error is None else f"{run.error.type}: {run.error.message}"
    yield {
        **facts, "step": None, "kind": RUN, "name": run.runner, "attempt": run.attempts,
        "started_at": _time(run.started_at), "took_s": run.took_s, "input": run.payload,
        "output": run.result, "error": error,
    }  # fmt: skip


def _blanked(line: dict[str, Any], secrets: Collection[str]) -> dict[str, Any]:
    """Blank what stands under secret keys, and the output of a step that is called by one."""
    shown: dict[str, Any] = without(line, secrets)
    if line["name"] in secrets:
        shown["output"] = REDACTED
    if any(key in (line["error"] or "") for key in secrets):
        shown["error"] = REDACTED
    return shown


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

"""
What the end of a run leaves for the archive: a note, written with the end.

A note has what hooks are told, for the run may be retried, or its id used again, before it is
archived. Its values are as they are packed in the run's data, so that making a note costs next to
nothing. Notes outlive a deploy: fields are only ever added at their end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import Run, RunOutcome
from stepflow.core.transition import Transition
from stepflow.engine.outbox import ARCHIVE
from stepflow.engine.spec import StoredOptions
from stepflow.errors import UnreadableValue
from stepflow.store.calls import Part
from stepflow.store.values.codec import pack, unpack, unpack_shown
from stepflow.times import as_datetime


def note_for_archive(
    run: Run,
    end: Transition,
    options: StoredOptions,
    app_hooks: Sequence[Sequence[str]],
    data: Sequence[Part],
    now: float,
) -> bytes | None:
    """
    Note the end of *run*; None where *app_hooks* name no archive.

    *data* are the data fields that the end writes.
    """
    if not any(hook[0] == ARCHIVE for hook in app_hooks):
        return None
    failures = max(run.failures, end.failures) if end.error is not None else run.failures
    return pack([
        run.id, run.runner, end.state.value, run.generation, run.ends + 1, run.step, failures + 1,
        run.created_at, run.started_at, now, dict(options.headers), list(data), end.reason,
    ])  # fmt: skip


def note_of_outcome(outcome: RunOutcome) -> bytes:
    """Note an end again of which hooks were told: a delivery of the version before has it."""
    errors = [_listed(error) for error in outcome.compensation_errors]
    data = ["result", pack(outcome.result)] if outcome.result is not None else []
    data += ["error", pack(_listed(outcome.error))] if outcome.error is not None else []
    data += ["undo_errors", pack(errors)] if errors else []
    created, started, ended = (
        moment.timestamp() if moment is not None else 0.0
        for moment in (outcome.created_at, outcome.started_at, outcome.ended_at)
    )
    return pack([
        outcome.run_id, outcome.runner, outcome.status, outcome.generation, outcome.end,
        outcome.final_step, outcome.attempts, created, started, ended, dict(outcome.headers), data,
        outcome.reason,
    ])  # fmt: skip


def read_note(note: bytes) -> RunOutcome:
    """
    Read a note back; raises UnreadableValue for anything else.

    The archive has the size and the digest of a result that is offloaded, and not the result.
    """
    kept = unpack(note)
    try:
        (
            run_id, runner, status, generation, end, step, attempts, created, started, ended,
            headers, flat, reason,
        ) = kept[:13]  # fmt: skip
        data: dict[str, Any] = dict(zip(flat[::2], flat[1::2], strict=True))
        error = unpack(data["error"]) if "error" in data else None
        return RunOutcome(
            run_id, runner, status=status, reason=reason, headers=headers,
            result=unpack_shown(data["result"]) if "result" in data else None,
            error=None if error is None else ErrorInfo(*error),
            final_step=step, attempts=attempts, generation=generation, end=end,
            created_at=as_datetime(created), started_at=as_datetime(started),
            ended_at=as_datetime(ended), compensation_errors=_errors(data),
        )  # fmt: skip
    except (TypeError, KeyError, ValueError, AttributeError) as problem:
        raise UnreadableValue(f"what is to be archived is no end of a run ({problem})") from problem


def _errors(data: dict[str, Any]) -> list[ErrorInfo]:
    return [ErrorInfo(*each) for each in unpack(data.get("undo_errors", b"\x90"))]


def _listed(error: ErrorInfo) -> list[str]:
    return [error.type, error.message, error.traceback]

"""What an end writes into the archive, read from Redis; secrets are blanked on the way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from stepflow.archive.rows import microseconds
from stepflow.archive.snapshots import Moment
from stepflow.archive.values import ArchivedRun, ArchivedStep, End
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import Run, RunOutcome
from stepflow.engine.env import Env
from stepflow.engine.history import REDACTED, redact, show_data, without
from stepflow.engine.kept import KeptData
from stepflow.engine.spec import without_secrets
from stepflow.engine.timeline import StepKind, StepStatus
from stepflow.engine.timeline.at_once import Kept, read_kept, show_kept, timeline_of_kept
from stepflow.errors import RunNotFound, UnreadableRecord
from stepflow.hooks.body import json_value
from stepflow.store.values.codec import is_sealing
from stepflow.times import as_datetime

#: times that a run is read for a snapshot, should it change meanwhile
_LOOKS = 20
#: when a run began whose record does not say
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Collected(NamedTuple):
    """
    What is archived of an end, and the run as it stood; None for one that has gone on since.

    *size* is about how many bytes Redis keeps of the run.
    """

    end: End
    run: Run | None = None
    size: int = 0


async def collect_end(outcome: RunOutcome, env: Env, secrets: Collection[str]) -> Collected:
    """
    Put together what is archived of an end: of a run that has gone on since, what hooks are told.

    *secrets* are the keys under which values are blanked.
    """
    try:
        kept = await read_kept(outcome.run_id, env)
    except (RunNotFound, UnreadableRecord):
        return Collected(End(_told(outcome, secrets)))
    if not (kept.is_at_rest and _is_of(outcome, kept.run)):
        return Collected(End(_told(outcome, secrets)))
    steps = (await timeline_of_kept(kept, env)).steps
    end = End(
        _described(outcome, kept.run, kept.data, secrets),
        [_archived(step, secrets) for step in steps],
        document_of(kept, secrets),
    )
    return Collected(end, kept.run, kept.size)


async def collect_moment(
    run_id: str, env: Env, secrets: Collection[str], *, why: str = ""
) -> Moment:
    """
    Put together a snapshot of a run in whatever state; raises RunNotFound.

    It is read again until it did not change meanwhile, a few times at most: of a run that never
    rests, the journal may be some entries ahead of the record, from which it goes on as well.
    """
    kept = await _at_rest(run_id, env)
    run, document = kept.run, document_of(kept, secrets)
    return Moment(
        run_id, run.runner, microseconds(as_datetime(run.created_at) or _NEVER), run.generation,
        run.rev, run.state.value, run.step, as_datetime(env.clock.now()) or _NEVER, document, why,
    )  # fmt: skip


async def _at_rest(run_id: str, env: Env) -> Kept:
    """Read a run between two changes of it, or at the last of so many looks."""
    for _ in range(_LOOKS):
        kept = await read_kept(run_id, env)
        if kept.is_at_rest:
            break
    return kept


def document_of(kept: Kept, secrets: Collection[str]) -> dict[str, Any]:
    """Show all that is kept of a run as one document, which reads back to the same bytes."""
    found = show_kept(kept)
    found["options"] = show_data(without_secrets(kept.data.get(b"spec", b"")))
    return redact(found, secrets) if secrets else found


def _is_of(outcome: RunOutcome, run: Run) -> bool:
    """Whether a run stands as the end that hooks are told of has left it."""
    began = (run.generation, as_datetime(run.created_at))
    is_same = began == (outcome.generation, outcome.created_at)
    return is_same and run.is_finished and run.ends == outcome.end and not run.damage


def _told(
    outcome: RunOutcome, secrets: Collection[str], *, is_whole: bool = False, **facts: Any
) -> ArchivedRun:
    """Describe an end by what hooks are told of it, and *facts* besides."""
    ended_at = outcome.ended_at or _NEVER
    return ArchivedRun(
        outcome.run_id, outcome.runner, outcome.status, outcome.created_at or ended_at, ended_at,
        outcome.started_at, generation=outcome.generation, end=outcome.end,
        step=outcome.final_step, attempts=outcome.attempts, reason=outcome.reason,
        headers=_labels(outcome.headers, secrets), result=_value(outcome.result, secrets),
        error=_error(outcome.error, secrets), is_whole=is_whole, **facts,
    )  # fmt: skip


def _described(
    outcome: RunOutcome, run: Run, data: Mapping[bytes, bytes], secrets: Collection[str]
) -> ArchivedRun:
    kept = KeptData(data, run)
    return _told(
        outcome, secrets, is_whole=True, version=run.version, queue=run.queue,
        tags=_labels(kept.tags(), secrets), payload=_value(kept.value(b"payload"), secrets),
        parent=kept.parent(), origin=run.origin or None, group=run.group or None,
        schedule=run.schedule or None,
    )  # fmt: skip


def _archived(step: StepStatus, secrets: Collection[str]) -> ArchivedStep:
    error = None if step.error is None else _error(step.error, secrets)
    name = step.name or (step.place or "")
    if step.kind is StepKind.QUESTION and is_sealing():  # its name is what it asks
        name = step.kind.value
    value = REDACTED if name in secrets and step.value is not None else step.value
    return ArchivedStep(
        step.kind.value, name, step.state.value, step.attempt, step.started_at, step.ended_at,
        step.took_s, step.worker, None if error is None else f"{error.type}: {error.message}",
        _value(value, secrets),
    )  # fmt: skip


def _value(value: Any, secrets: Collection[str]) -> Any:
    return json_value(without(value, secrets) if secrets else value)


def _labels(labels: Mapping[str, str], secrets: Collection[str]) -> dict[str, str]:
    return {name: REDACTED if name in secrets else held for name, held in labels.items()}


def _error(error: ErrorInfo | None, secrets: Collection[str]) -> ErrorInfo | None:
    """Give an error without the texts that name a secret, for they may say it."""
    if error is None or not any(key in str(error) for key in secrets):
        return error
    return ErrorInfo(error.type, REDACTED)

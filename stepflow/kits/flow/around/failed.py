"""What is kept of a step that failed for good: its error, and the data that this carries."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from stepflow.core.backoff import RetryPolicy
from stepflow.core.journal import write_try
from stepflow.core.outcomes import ErrorInfo, readable
from stepflow.engine.user_code.calls import data_of, raised
from stepflow.errors import PayloadTooLarge, StepFailed
from stepflow.kits.flow.around.refused import read_refused, rest_beside, rest_for
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.store.values.codec import pack, unpack

log = logging.getLogger("stepflow.flow")


def pack_error(step: str, info: ErrorInfo, error: BaseException, limit: int) -> bytes:
    """Pack an error and the data that it carries, or without that where it cannot be kept."""
    parts = [info.type, info.message, info.traceback]
    data = data_of(error)
    if data is not None:
        try:
            return pack([*parts, data], what="the data of its error", limit=limit)
        except BaseException as problem:  # noqa: BLE001  what packs a value is user code as well
            log.warning("step %r: its error is kept without its data: %s", step, readable(problem))
    return pack(parts)


class Failure(NamedTuple):
    """
    What is kept of an attempt that failed: *data*, of an error if it *is_final*, else of a try.

    It *counts* as an attempt, unless somebody else's limit has refused it.
    """

    data: bytes
    is_final: bool = False
    counts: bool = True


def failure_of(
    runtime: FlowRuntime, step: str, error: BaseException, *, policy: RetryPolicy, attempt: int
) -> Failure:
    """Say what becomes of an attempt, counted from 1, that *error* has ended."""
    fault, run_id = raised(error, policy), runtime.run.id
    rest = fault.rest if fault.retryable else None
    if rest is not None and not rest.is_attempt:
        return Failure(rest_for(runtime, step, rest, fault.error.message), counts=False)
    brief = fault.error.brief() if rest is None else rest_beside(runtime, rest, fault)
    info, most = fault.error, policy.max_attempts
    if not fault.retryable or attempt >= most:
        log.warning(
            "run=%s step %r failed for good, attempt %s of %s: %s\n%s", run_id, step,
            attempt, most, info.summary, info.traceback.rstrip(),
        )  # fmt: skip
        return Failure(pack_error(step, info, error, runtime.limit), is_final=True)
    wait_s = max(policy.wait_s(attempt, runtime.spread()), fault.retry_after_s or 0.0)
    log.warning(
        "run=%s step %r attempt %s of %s failed: %s; next in %.3g s", run_id, step,
        attempt, most, info.summary, wait_s,
    )  # fmt: skip
    return Failure(write_try(runtime.now() + wait_s, brief))


def with_usage(error: PayloadTooLarge, value: Any) -> PayloadTooLarge:
    """Have the error for a value keep what the value says that it has cost."""
    try:
        usage = getattr(value, "stepflow_usage", None)
    except BaseException:  # noqa: BLE001  a property of user code
        usage = None
    if usage is not None:
        error.stepflow_data = {"size": error.size, "limit": error.limit, "usage": usage}
    return error


def read_error(name: str, data: bytes, own: BaseException | None) -> Exception:
    """Make what the workflow gets of step *name* by what is kept; *own* is what it raised here."""
    kind, message, trace, *more = unpack(data)
    refused = read_refused(kind, message, trace)
    if refused is not None:
        return refused
    failed = StepFailed(name, kind, message, *more)
    if own is not None:
        failed.__cause__ = own
    elif trace:
        failed.add_note(f"The step's own error:\n{trace.rstrip()}")
    return failed

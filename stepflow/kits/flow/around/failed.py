"""What is kept of a step that failed for good: its error, and the data that this carries."""

from __future__ import annotations

import logging
from typing import Any

from stepflow.core.outcomes import ErrorInfo
from stepflow.engine.user_code.calls import data_of
from stepflow.errors import PayloadTooLarge, StepFailed
from stepflow.kits.flow.around.refused import read_refused
from stepflow.store.values.codec import pack, unpack

log = logging.getLogger("stepflow.flow")


def pack_error(step: str, info: ErrorInfo, error: BaseException, limit: int) -> bytes:
    """Pack an error and the data that it carries, or without that where it cannot be kept."""
    parts = [info.type, info.message, info.traceback]
    data = data_of(error)
    if data is not None:
        try:
            return pack([*parts, data], what="the data of its error", limit=limit)
        except Exception as problem:  # noqa: BLE001  what packs a value is user code as well
            log.warning("step %r: its error is kept without its data: %s", step, problem)
    return pack(parts)


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

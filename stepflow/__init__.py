"""
stepflow: durable step runs on the Redis you already have.

The public names, each loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepflow.client import AsyncClient, Client
    from stepflow.core.backoff import RetryPolicy
    from stepflow.core.outcomes import Cancel, Continue, Fail, Outcome, Succeed
    from stepflow.core.run import RunOutcome, RunState, RunStatus
    from stepflow.core.runner import Step, StepRunner
    from stepflow.engine.spec import RunSpec
    from stepflow.errors import (
        ChildFailed,
        InvalidRunId,
        NotRetryable,
        PayloadTooLarge,
        PermanentError,
        RedisUnreachable,
        ReservedHeader,
        RunCancelled,
        RunConflict,
        RunFailed,
        RunNotFound,
        SignalRefused,
        StepFailed,
        StepflowError,
        TransientError,
        UnsupportedValue,
        UsageError,
    )
    from stepflow.hooks.webhook import Webhook
    from stepflow.kits.app import Stepflow
    from stepflow.kits.flow.context import Context
    from stepflow.kits.flow.sync_context import SyncContext

__all__ = [
    "AsyncClient",
    "Cancel",
    "ChildFailed",
    "Client",
    "Context",
    "Continue",
    "Fail",
    "InvalidRunId",
    "NotRetryable",
    "Outcome",
    "PayloadTooLarge",
    "PermanentError",
    "RedisUnreachable",
    "ReservedHeader",
    "RetryPolicy",
    "RunCancelled",
    "RunConflict",
    "RunFailed",
    "RunNotFound",
    "RunOutcome",
    "RunSpec",
    "RunState",
    "RunStatus",
    "SignalRefused",
    "Step",
    "StepFailed",
    "StepRunner",
    "Stepflow",
    "StepflowError",
    "Succeed",
    "SyncContext",
    "TransientError",
    "UnsupportedValue",
    "UsageError",
    "Webhook",
]

_HOMES = {
    "AsyncClient": "client",
    "Cancel": "core.outcomes",
    "ChildFailed": "errors",
    "Client": "client",
    "Context": "kits.flow.context",
    "Continue": "core.outcomes",
    "Fail": "core.outcomes",
    "InvalidRunId": "errors",
    "NotRetryable": "errors",
    "Outcome": "core.outcomes",
    "PayloadTooLarge": "errors",
    "PermanentError": "errors",
    "RedisUnreachable": "errors",
    "ReservedHeader": "errors",
    "RetryPolicy": "core.backoff",
    "RunCancelled": "errors",
    "RunConflict": "errors",
    "RunFailed": "errors",
    "RunNotFound": "errors",
    "RunOutcome": "core.run",
    "RunSpec": "engine.spec",
    "RunState": "core.run",
    "RunStatus": "core.run",
    "SignalRefused": "errors",
    "Step": "core.runner",
    "StepFailed": "errors",
    "StepRunner": "core.runner",
    "Stepflow": "kits.app",
    "StepflowError": "errors",
    "Succeed": "core.outcomes",
    "SyncContext": "kits.flow.sync_context",
    "TransientError": "errors",
    "UnsupportedValue": "errors",
    "UsageError": "errors",
    "Webhook": "hooks.webhook",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'stepflow' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"stepflow.{_HOMES[name]}"), name)
    globals()[name] = value
    return value

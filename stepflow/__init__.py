"""stepflow: durable step runs on the Redis you already have. The public names, each loaded when it is first asked for."""

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
    from stepflow.errors import PermanentError, RunCancelled, RunFailed, StepFailed, StepflowError, TransientError
    from stepflow.hooks.webhook import Webhook
    from stepflow.kits.app import Stepflow
    from stepflow.kits.flow.context import Context

__all__ = [
    "AsyncClient",
    "Cancel",
    "Client",
    "Context",
    "Continue",
    "Fail",
    "Outcome",
    "PermanentError",
    "RetryPolicy",
    "RunCancelled",
    "RunFailed",
    "RunOutcome",
    "RunSpec",
    "RunState",
    "RunStatus",
    "Step",
    "StepFailed",
    "StepRunner",
    "Stepflow",
    "StepflowError",
    "Succeed",
    "TransientError",
    "Webhook",
]

_HOMES = {
    "AsyncClient": "client",
    "Cancel": "core.outcomes",
    "Client": "client",
    "Context": "kits.flow.context",
    "Continue": "core.outcomes",
    "Fail": "core.outcomes",
    "Outcome": "core.outcomes",
    "PermanentError": "errors",
    "RetryPolicy": "core.backoff",
    "RunCancelled": "errors",
    "RunFailed": "errors",
    "RunOutcome": "core.run",
    "RunSpec": "engine.spec",
    "RunState": "core.run",
    "RunStatus": "core.run",
    "Step": "core.runner",
    "StepFailed": "errors",
    "StepRunner": "core.runner",
    "Stepflow": "kits.app",
    "StepflowError": "errors",
    "Succeed": "core.outcomes",
    "TransientError": "errors",
    "Webhook": "hooks.webhook",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'stepflow' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"stepflow.{_HOMES[name]}"), name)
    globals()[name] = value
    return value

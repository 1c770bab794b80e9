"""What spans say: attribute names of OpenTelemetry's conventions for messaging, and our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stepflow.engine.events.telemetry import AttemptFacts, HookFacts
from stepflow.engine.spec import RunSpec
from stepflow.engine.user_code.middleware import UserCall

Attributes = dict[str, str | int]

SYSTEM: Final = "stepflow"
ERROR_TYPE: Final = "error.type"
OUTCOME: Final = "stepflow.outcome"
#: on the last span that a run may have, and on failed ones after it: how many it may have
SPAN_LIMIT: Final = "stepflow.span_limit"
CONVERSATION: Final = "messaging.message.conversation_id"
RUN: Final = "stepflow.run"


def of_submit(specs: Sequence[RunSpec]) -> Attributes:
    """Describe a submit; what is different from run to run is left out."""
    runners, queues = {spec.runner for spec in specs}, {spec.queue for spec in specs}
    said = _messaging("send")
    if len(queues) == 1:
        said["messaging.destination.name"] = queues.pop()
    if len(runners) == 1:
        said["stepflow.runner"] = runners.pop()
    if len(specs) != 1:
        said["messaging.batch.message_count"] = len(specs)
    return said


def of_attempt(facts: AttemptFacts) -> Attributes:
    """Describe an attempt of a step; the number of a step is text, as the names of others are."""
    run = facts.run
    said = _messaging("process") | {
        "messaging.destination.name": run.queue,
        "messaging.message.id": run.claimed_rq_id,
        CONVERSATION: run.id,
        RUN: run.id,
        "stepflow.runner": run.runner,
        "stepflow.step": str(run.step),
        "stepflow.attempt": run.failures + 1,
        "stepflow.worker": facts.worker,
    }
    if run.crashes:
        said["stepflow.crashes"] = run.crashes
    return said


def of_step(call: UserCall, worker: str) -> Attributes:
    """Describe an attempt of a `ctx.step`."""
    return {
        RUN: call.run_id,
        "stepflow.runner": call.runner,
        "stepflow.step": call.name,
        "stepflow.attempt": call.attempt,
        "stepflow.worker": worker,
    }


def of_hook(facts: HookFacts) -> Attributes:
    """Describe a try to deliver a hook."""
    said: Attributes = {
        RUN: facts.run_id,
        "stepflow.runner": facts.runner,
        "stepflow.hook": facts.hook_id,
        "stepflow.attempt": facts.attempt,
    }
    if facts.is_webhook:
        said["http.request.method"] = "POST"
    return said


def _messaging(operation: str) -> Attributes:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
    }

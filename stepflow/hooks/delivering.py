"""How a worker delivers a webhook: what stands between its records and a Deliverer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from stepflow.core.run import RunOutcome
from stepflow.core.verdict import Verdict
from stepflow.errors import DataError
from stepflow.hooks.body import body_of
from stepflow.hooks.webhook import Webhook


def delivering(
    deliverer: Any,
) -> Callable[[Mapping[str, Any] | Webhook, str, RunOutcome], Awaitable[Verdict]]:
    """Give the function by which a worker delivers a webhook with *deliverer*."""

    async def deliver(
        webhook: Mapping[str, Any] | Webhook, hook_id: str, outcome: RunOutcome
    ) -> Verdict:
        try:
            target = webhook if isinstance(webhook, Webhook) else Webhook.from_dict(webhook)
        except DataError as error:
            return Verdict.dead(str(error))
        if not target.wants(outcome.status):
            return Verdict.delivered()
        verdict: Verdict = await deliverer.deliver(
            target, hook_id, body_of(outcome), datetime.now(UTC)
        )
        return verdict

    return deliver

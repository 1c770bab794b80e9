"""
Hooks under test.

Webhooks are written down instead of sent, functions of the app are written down and called.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stepflow.core.run import RunOutcome
from stepflow.core.verdict import Verdict
from stepflow.engine.registry import Registry
from stepflow.engine.user_code.calls import is_async
from stepflow.hooks.webhook import Webhook


@dataclass(frozen=True, slots=True)
class HookSeen:
    """
    One delivery: *target* is a webhook's URL or the name of an app's function.

    *status* as in RunOutcome.
    """

    target: str
    run_id: str
    status: str
    #: what a webhook would have been sent, read back from JSON; a function's RunOutcome
    body: Any


class Recorder:
    """Takes what would go over the net, and says that it was taken."""

    def __init__(self, seen: list[HookSeen]) -> None:
        self._seen = seen

    async def deliver(self, webhook: Webhook, hook_id: str, body: bytes, now: datetime) -> Verdict:
        """Write down one delivery."""
        del hook_id, now
        read = json.loads(body)
        self._seen.append(
            HookSeen(webhook.url, read["data"]["run_id"], read["data"]["status"], read)
        )
        return Verdict.delivered()


def recording(registry: Registry, seen: list[HookSeen]) -> Registry:
    """Return a registry like *registry* whose terminal hooks are noted when they are called."""
    return replace(
        registry, hooks={name: _recorded(name, hook, seen) for name, hook in registry.hooks.items()}
    )


def _recorded(
    name: str, hook: Callable[[RunOutcome], Any], seen: list[HookSeen]
) -> Callable[[RunOutcome], Any]:
    def note(outcome: RunOutcome) -> None:
        seen.append(HookSeen(name, outcome.run_id, outcome.status, outcome))

    @functools.wraps(hook)
    def called(outcome: RunOutcome) -> Any:
        note(outcome)
        return hook(outcome)

    @functools.wraps(hook)
    async def called_async(outcome: RunOutcome) -> Any:
        note(outcome)
        return await hook(outcome)

    return called_async if is_async(hook) else called

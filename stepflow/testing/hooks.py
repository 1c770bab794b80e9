"""Hooks under test: webhooks are recorded instead of sent, terminal hooks recorded and called."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stepflow.core.run import RunOutcome
from stepflow.core.verdict import Verdict
from stepflow.engine.registry import HookFunction, Registry
from stepflow.engine.user_code.calls import is_async
from stepflow.hooks.webhook import Webhook


@dataclass(frozen=True, slots=True)
class HookSeen:
    """
    One delivery: *target* is the URL of a webhook or the name of a terminal hook.

    *status* is that of RunOutcome.
    """

    target: str
    run_id: str
    status: str
    #: the body that a webhook would have got, read back from JSON; for a function its RunOutcome
    body: Any


class Recorder:
    """Records what would go over the network, and answers that it was delivered."""

    def __init__(self, seen: list[HookSeen]) -> None:
        self._seen = seen

    async def deliver(self, webhook: Webhook, hook_id: str, body: bytes, now: datetime) -> Verdict:
        """Record one delivery."""
        del hook_id, now
        read = json.loads(body)
        self._seen.append(
            HookSeen(webhook.url, read["data"]["run_id"], read["data"]["status"], read)
        )
        return Verdict.delivered()


def recording(registry: Registry, seen: list[HookSeen]) -> Registry:
    """
    Return a copy of *registry* whose terminal hooks are recorded when they are called.

    It archives nothing, wherever the app does.
    """

    def each(hooks: Mapping[str, HookFunction]) -> dict[str, HookFunction]:
        return {name: _recorded(name, hook, seen) for name, hook in hooks.items()}

    return replace(
        registry,
        hooks=each(registry.hooks),
        paused_hooks=each(registry.paused_hooks),
        archive=None,
    )


def _recorded(name: str, hook: Callable[..., Any], seen: list[HookSeen]) -> Callable[..., Any]:
    def note(outcome: RunOutcome) -> None:
        seen.append(HookSeen(name, outcome.run_id, outcome.status, outcome))

    @functools.wraps(hook)  # so it is called with the context and the resources that *hook* takes
    def called(outcome: RunOutcome, *more: Any, **resources: Any) -> Any:
        note(outcome)
        return hook(outcome, *more, **resources)

    @functools.wraps(hook)
    async def called_async(outcome: RunOutcome, *more: Any, **resources: Any) -> Any:
        note(outcome)
        return await hook(outcome, *more, **resources)

    return called_async if is_async(hook) else called

"""A webhook receiver on a thread of its own that verifies what it gets and keeps the ids."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from typing import Self

import standardwebhooks

from stepflow import Webhook
from tests.hooks.receiver import Received, Receiver

SECRET = "whsec_" + "YSBzZWNyZXQgb2YgMjQgYnl0ZXMgb3Igc28="


class _Verifying(Receiver):
    """
    Verifies at once, while the signature's time is fresh, and keeps only what the checker asks for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrived_ids: Counter[str] = Counter()
        self.told: dict[str, tuple[str, str]] = {}
        self.wrong: list[str] = []

    async def _keep(self, received: Received) -> None:
        hook_id = received.headers.get("webhook-id", "")
        try:
            data = received.verified(SECRET)["data"]
        except (standardwebhooks.WebhookVerificationError, json.JSONDecodeError, KeyError) as error:
            self.wrong.append(f"{hook_id}: {error}")
            return
        said = (data.get("run_id") or data["group_id"], data["status"])
        if self.told.setdefault(hook_id, said) != said:
            self.wrong.append(f"{hook_id} said {self.told[hook_id]}, then {said}")
        self.arrived_ids[hook_id] += 1


class Sink:
    """The receiver's life, from a synchronous test."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def webhook(self) -> Webhook:
        """The webhook to submit runs with."""
        return Webhook(self.receiver.url, secret=SECRET)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with _Verifying() as self.receiver:
            self._ready.set()
            await self._over.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(60)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

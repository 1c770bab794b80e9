"""
A Deliverer that is made for the first delivery.

httpx and the certificate authorities take 7 MB and a tenth of a second, and few workers deliver.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stepflow.hooks.response import Verdict
from stepflow.hooks.webhook import Webhook
from stepflow.settings import WebhookSettings

if TYPE_CHECKING:
    import ssl

    from stepflow.hooks.deliver import Deliverer


class LateDeliverer:
    """What a worker delivers with, made in a thread when it is needed; an async context manager."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._entered = AsyncExitStack()
        self._making: asyncio.Future[Deliverer] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._making is not None:
            self._making.cancel()
        await self._entered.aclose()

    async def deliver(self, webhook: Webhook, hook_id: str, body: bytes, now: datetime) -> Verdict:
        """
        Make one try; see `Deliverer.deliver`.

        One that cannot be made is made again for the next try: it finds no certificate authorities,
        which SSL_CERT_FILE may name, or its modules are gone, as in the middle of an upgrade.
        """
        making = self._making
        if making is None:
            making = self._making = asyncio.ensure_future(self._make())
        try:
            deliverer = await asyncio.shield(making)
        except Exception as error:  # noqa: BLE001  the worker goes on, and so do its other runs
            if self._making is making:  # else another delivery makes it again already
                self._making = None
            if isinstance(error, OSError):
                return Verdict.retry(f"the certificate authorities cannot be read: {error}")
            problem = f"{type(error).__name__}: {error}"
            return Verdict.retry(f"this worker has nothing to deliver with: {problem}")
        return await deliverer.deliver(webhook, hook_id, body, now)

    async def _make(self) -> Deliverer:
        thread = ThreadPoolExecutor(1, "stepflow-webhooks")
        try:
            kind, tls = await asyncio.get_running_loop().run_in_executor(thread, _load)
        finally:
            thread.shutdown(wait=False)
        return await self._entered.enter_async_context(kind(self._settings, tls=tls))


def _load() -> tuple[type[Deliverer], ssl.SSLContext]:
    from stepflow.hooks.deliver import Deliverer, authorities  # noqa: PLC0415  see the module

    return Deliverer, authorities()

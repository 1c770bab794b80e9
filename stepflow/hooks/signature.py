"""
The headers by which a receiver verifies a webhook (Standard Webhooks 1.0).

They carry its id, its time, and the sender's signature.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import standardwebhooks

from stepflow.errors import InvalidOption

if TYPE_CHECKING:
    from stepflow.hooks.webhook import Webhook


def signed_headers(webhook: Webhook, hook_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """
    Make `webhook-id`, `webhook-timestamp` and, when *webhook* has a secret, `webhook-signature`.

    *now* is the aware time of this try. With two secrets there are two signatures, that of the new
    one first.
    """
    if now.tzinfo is None:
        msg = f"{now!r} has no time zone; sign with an aware datetime"
        raise InvalidOption(msg)
    at = now.astimezone(UTC)  # the library takes every time zone for UTC
    headers = {"webhook-id": hook_id, "webhook-timestamp": str(math.floor(at.timestamp()))}
    secrets = [secret for secret in (webhook.secret, webhook.previous_secret) if secret is not None]
    if secrets:
        signatures = [
            standardwebhooks.Webhook(secret).sign(hook_id, at, body.decode()) for secret in secrets
        ]
        headers["webhook-signature"] = " ".join(signatures)
    return headers

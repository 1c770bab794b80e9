"""
The headers by which a receiver verifies a webhook (Standard Webhooks 1.0).

They carry its id, its time, and the sender's signature.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stepflow.errors import InvalidOption
from stepflow.hooks.secret import key_of, signature

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
    at = str(math.floor(now.astimezone(UTC).timestamp()))
    headers = {"webhook-id": hook_id, "webhook-timestamp": at}
    secrets = [secret for secret in (webhook.secret, webhook.previous_secret) if secret is not None]
    if secrets:
        signed = b".".join((hook_id.encode(), at.encode(), body))
        headers["webhook-signature"] = " ".join(
            signature(key_of(secret), signed) for secret in secrets
        )
    return headers

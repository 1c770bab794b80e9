"""The secrets of webhooks, and the signatures that are made with them (Standard Webhooks 1.0)."""

from __future__ import annotations

import base64
import hashlib
import hmac

#: what a secret begins with
PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """
    Read the key that *secret* has in base64, padded or not, after `whsec_`.

    Raises ValueError where that is no base64, or nothing.
    """
    text = secret.removeprefix(PREFIX).strip()
    key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if not key:
        msg = "the secret is empty"
        raise ValueError(msg)
    return key


def signature(key: bytes, signed: bytes) -> str:
    """Sign *signed*, the id, time and body of a webhook."""
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"

"""Webhooks that begin runs: who may send them, and when they are too old or come twice."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stepflow.engine.spec import RunSpec
from stepflow.hooks.secret import PREFIX, key_of, signature
from stepflow.kits.definition.model import Definition
from stepflow.kits.definition.submission import spec_of
from stepflow.kits.definition.triggers.match import input_of, run_id_for
from stepflow.kits.definition.triggers.model import OnWebhook


@dataclass(frozen=True, slots=True)
class Incoming:
    """The trigger of a path, with its definition."""

    definition: Definition
    trigger: OnWebhook

    @property
    def methods(self) -> list[str]:
        """The methods that it takes."""
        return list(self.trigger.methods)

    @property
    def wait_s(self) -> float | None:
        """How long its answer waits for the end of the run; None for not at all."""
        return self.trigger.wait

    def refusal(self, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
        """
        Say why a request is refused; None for one that is from who it says.

        *headers* have names in lower case, *now* is unix seconds. Compares in constant time.
        """
        secret = os.environ.get(self.trigger.secret_env, "")
        if not secret:
            return f"this server has no {self.trigger.secret_env} in its environment"
        if self.trigger.auth == "bearer":
            token = headers.get("authorization", "").encode()
            is_right = hmac.compare_digest(token, f"Bearer {secret}".encode())
            return None if is_right else "the bearer token is wrong"
        sent_at = headers.get("webhook-timestamp", "")
        if not sent_at.isdecimal() or len(sent_at) > 12:  # noqa: PLR2004  digits of a unix time
            return "it has no webhook-timestamp"
        if abs(now - int(sent_at)) > self.trigger.tolerance:
            return "its webhook-timestamp is too far from now"
        signed = b".".join((headers.get("webhook-id", "").encode(), sent_at.encode(), body))
        given = headers.get("webhook-signature", "").split()
        try:
            right = _signature(secret, signed).encode()
        except ValueError:
            return f"{self.trigger.secret_env} of this server has no base64 after whsec_"
        found = [hmac.compare_digest(each.encode(), right) for each in given]
        return None if any(found) else "its webhook-signature is wrong"

    def spec(self, headers: Mapping[str, str], body: bytes, event: object) -> RunSpec:
        """Make the run; the same delivery, by its id or else its body and time, is the same run."""
        known = headers.get("webhook-id") or headers.get("idempotency-key")
        if known is None:
            sent = headers.get("webhook-timestamp", "").encode()
            known = hashlib.blake2b(sent + b"." + body, digest_size=16).hexdigest()
        run_id = run_id_for(self.definition, f"webhook {self.trigger.path} {known}")
        given = input_of(self.trigger, event)
        return spec_of(self.definition, given, self.trigger.entry_point, {"run_id": run_id})


def _signature(secret: str, signed: bytes) -> str:
    """Sign as the Standard Webhooks do: with what *secret* has in base64, or else itself."""
    key = key_of(secret) if secret.startswith(PREFIX) else secret.encode()
    return signature(key, signed)


def webhook_at(definitions: Mapping[str, Definition], path: str) -> Incoming | None:
    """Find the trigger of *path*."""
    found = (each for each in _all(definitions) if each.trigger.path == path.strip("/"))
    return next(found, None)


def webhook_paths(definitions: Mapping[str, Definition]) -> list[str]:
    """Name the paths of all webhooks."""
    return [each.trigger.path for each in _all(definitions)]


def _all(definitions: Mapping[str, Definition]) -> Iterator[Incoming]:
    for definition in definitions.values():
        for trigger in definition.triggers:
            if isinstance(trigger, OnWebhook):
                yield Incoming(definition, trigger)

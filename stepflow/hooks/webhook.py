"""The webhook as users write it and as it is stored with a run."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from stepflow.core.run import ENDS
from stepflow.errors import InvalidOption, UnreadableValue, UsageError
from stepflow.hooks.target import Target, read_target, shown

_PREFIX = "whsec_"
_EVENTS = tuple(state.value for state in ENDS)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
#: headers that are the delivery's own business
_RESERVED = re.compile(
    r"(?:webhook-.*|proxy-.*|host|content-(?:length|type|encoding)|transfer-encoding|connection|keep-alive|te|trailer"
    r"|upgrade|expect)",
    re.IGNORECASE,
)


def _empty() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """
    An HTTP endpoint that is told of a run's end by a signed POST (Standard Webhooks 1.0).

    *secret* is `whsec_` and base64 (24 random bytes or more are advised); without one the delivery is unsigned. While
    secrets are being changed give the old one as *previous_secret*: both sign, and a receiver may know either. *events*
    says which ends it wants to hear of: `succeeded`, `failed`, `cancelled`. *headers* are sent along.

    Raises WebhookRefused for a URL that cannot be a webhook's and InvalidOption for the rest. Whether the URL's
    address may be called is checked when the webhook is registered, and again at each try.
    """

    url: str
    secret: str | None = None
    _: KW_ONLY
    previous_secret: str | None = None
    events: Iterable[str] = _EVENTS
    headers: Mapping[str, str] = field(default_factory=_empty, hash=False)

    def __post_init__(self) -> None:
        read_target(self.url)
        for name in ("secret", "previous_secret"):
            _check_secret(name, getattr(self, name))
        if self.previous_secret is not None and self.secret is None:
            msg = "previous_secret is for changing secrets; give the new one as secret"
            raise InvalidOption(msg)
        object.__setattr__(self, "events", _checked_events(self.events))
        object.__setattr__(self, "headers", _checked_headers(self.headers))

    def __repr__(self) -> str:
        """Show what may be seen: no secret, no query value, no header value."""
        signed = "unsigned" if self.secret is None else "secret=***"
        names = f", headers={sorted(self.headers)}" if self.headers else ""
        return f"Webhook({shown(self.url)!r}, {signed}, events={self.events}{names})"

    @property
    def target(self) -> Target:
        """Say where it points."""
        return read_target(self.url)

    def wants(self, status: str) -> bool:
        """Whether it is to be told of a run that ended with *status*."""
        return status in tuple(self.events)

    def as_dict(self) -> dict[str, Any]:
        """Give plain values for storing, secrets included."""
        return {
            "url": self.url,
            "secret": self.secret,
            "previous_secret": self.previous_secret,
            "events": list(self.events),
            "headers": dict(self.headers),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Webhook:
        """Read what `as_dict` gave; raises UnreadableValue, without quoting it, when it is something else."""
        try:
            return cls(**stored)
        except (UsageError, TypeError):
            msg = "a stored webhook cannot be read: its fields are not those of a valid webhook"
            raise UnreadableValue(msg) from None


def _check_secret(name: str, secret: object) -> None:
    if secret is None:
        return
    if not isinstance(secret, str) or not secret.startswith(_PREFIX):
        msg = f"{name} must start with {_PREFIX!r}, followed by base64"
        raise InvalidOption(msg)
    key = secret.removeprefix(_PREFIX)
    try:
        decoded = base64.b64decode(key + "=" * (-len(key) % 4), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        msg = f"{name} has no valid base64 after {_PREFIX!r}"
        raise InvalidOption(msg)


def _checked_events(events: Iterable[str]) -> tuple[str, ...]:
    chosen = () if isinstance(events, str) else tuple(str(event) for event in events)
    if not chosen or not set(chosen) <= set(_EVENTS):
        msg = f"events {events!r} is not valid; give one or more of {', '.join(_EVENTS)}, as a tuple or list"
        raise InvalidOption(msg)
    return chosen


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked: dict[str, str] = {}
    given: Iterable[tuple[object, object]] = headers.items()
    for name, value in given:
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name) or _RESERVED.fullmatch(name):
            msg = f"webhook header {name!r} cannot be set: it is not a header name, or belongs to the delivery"
            raise InvalidOption(msg)
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            msg = f"the value of webhook header {name!r} is not printable ASCII without space at its ends"
            raise InvalidOption(msg)
        checked[name] = value
    return checked

"""What is given for webhooks: Webhook objects or URLs by you, stored forms by a run's record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from stepflow.errors import DataError, InvalidOption, shown
from stepflow.hooks.target import shown as shown_url
from stepflow.hooks.webhook import Webhook


def read_webhooks(given: object) -> list[Webhook]:
    """
    Read a list of webhooks, each a Webhook or a URL.

    Raises InvalidOption for anything else, WebhookRefused for a URL that cannot be one.
    """
    if isinstance(given, str | Webhook) or not isinstance(given, Iterable):
        url = given if isinstance(given, str) else "https://..."
        msg = f"webhooks is a list of Webhook objects or URLs; write webhooks=[{shown_url(url)!r}]"
        raise InvalidOption(msg)
    return [_read(each) for each in given]


def read_named_webhooks(given: object) -> dict[str, Webhook]:
    """Read the webhooks of an app, by name; a list gets the URLs as names."""
    if isinstance(given, Mapping):
        return {name: _read(each) for name, each in given.items()}
    webhooks = read_webhooks(given)
    named = {shown_url(each.url): each for each in webhooks}
    if len(named) < len(webhooks):
        msg = (
            "two webhooks of the app have one URL, or differ in hidden parts of it only; name "
            'them: webhooks={"billing": Webhook(...), ...}'
        )
        raise InvalidOption(msg)
    return named


def _read(given: object) -> Webhook:
    if isinstance(given, Webhook):
        return given
    if isinstance(given, str):
        return Webhook(given)
    msg = f"{shown(given)} is not a webhook; write a URL, or Webhook(url, ...)"
    raise InvalidOption(msg)


def with_headers(
    webhook: Webhook | Mapping[str, Any], headers: Mapping[str, str]
) -> Webhook | Mapping[str, Any]:
    """Have *webhook*, as an object or as stored, send *headers* as well; its own come first."""
    if not headers:
        return webhook
    if isinstance(webhook, Webhook):
        own = {name.lower() for name in (*webhook.headers, *webhook.headers_env)}
        more = {name: value for name, value in headers.items() if name not in own}
        return replace(webhook, headers={**webhook.headers, **more})
    try:
        return with_headers(Webhook.from_dict(webhook), headers)
    except DataError:  # who delivers it says what is wrong with it
        return webhook


def host_of(stored: Mapping[str, Any]) -> str:
    """Name the host of a stored webhook, for people; empty where it cannot be read."""
    try:
        return urlsplit(str(stored["url"])).hostname or ""
    except (ValueError, KeyError, TypeError):
        return ""

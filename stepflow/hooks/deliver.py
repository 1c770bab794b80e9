"""
One try of one delivery, over HTTP; the one module that imports httpx.

It uses httpx's transport, not its client. The client would keep cookies, and so show one receiver
those of another at the same address; it would read proxies and passwords from the environment,
follow redirects, and log URLs.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self

import httpx

from stepflow.errors import InvalidOption, WebhookRefused
from stepflow.hooks.limiter import HostLimiter
from stepflow.hooks.resolver import Resolver
from stepflow.hooks.response import Verdict, VerdictKind, judge
from stepflow.hooks.signature import signed_headers
from stepflow.hooks.ssrf import MOST_ADDRESSES, Allowlist, Lookup, resolve
from stepflow.hooks.target import Target
from stepflow.hooks.webhook import Webhook
from stepflow.settings import WebhookSettings

_FIXED_HEADERS = {"content-type": "application/json", "connection": "close"}
_AGENT = {"user-agent": "stepflow-webhooks"}


class Deliverer:
    """
    Delivers webhooks; an async context manager.

    Make one for each worker process, for it limits the deliveries in progress by host. *tls*
    replaces the certificate authorities (certifi's, or SSL_CERT_FILE's), *lookup* the system's
    resolver, *variables* the environment that secrets are read from.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup | None = None,
        variables: Mapping[str, str] = os.environ,
    ) -> None:
        self.allow = Allowlist.parse(settings.allow_cidrs)
        self._timeout_s = settings.timeout_s
        self._limiter = HostLimiter(settings.per_host)
        self._lookup = lookup or Resolver()
        self._variables = variables
        # a connection serves one try: kept and shared by address, a TLS connection that was
        # verified for one host would carry another host's delivery
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls or authorities(),
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def deliver(self, webhook: Webhook, hook_id: str, body: bytes, now: datetime) -> Verdict:
        """
        Make one try and return the verdict on it.

        *hook_id* is the same for every try, *now* the aware time of this one. Whatever a receiver
        does becomes a verdict within the time of a try; only a mistake of ours raises. The verdict
        is busy, at once, where the host has its share of deliveries in progress.
        """
        clock = asyncio.get_running_loop().time
        try:
            webhook = webhook.resolved(self._variables)
        except InvalidOption as problem:
            # whoever runs the worker can set the variable: try again, by the schedule
            return Verdict.retry(str(problem))
        origin, entered_at = webhook.target.origin, clock()
        after_s = self._limiter.enter(origin, entered_at)
        if after_s is not None:
            return Verdict.busy(after_s)
        answered: bool | None = None
        try:
            verdict = await self._try(webhook, hook_id, body, now)
            answered = _has_answered(verdict)
        finally:
            self._limiter.leave(origin, entered_at, clock(), answered=answered)
        return verdict

    async def _try(self, webhook: Webhook, hook_id: str, body: bytes, now: datetime) -> Verdict:
        target = webhook.target
        headers = (
            _AGENT
            | {name.lower(): value for name, value in webhook.headers.items()}
            | _FIXED_HEADERS
        )
        headers |= signed_headers(webhook, hook_id, body, now) | {"host": target.host_header}
        try:
            async with asyncio.timeout(self._timeout_s):
                addresses = await resolve(target.host, target.port, self.allow, self._lookup)
                return await self._post(target, addresses[:MOST_ADDRESSES], headers, body, now)
        except WebhookRefused as refused:
            return Verdict.dead(str(refused))
        except TimeoutError:
            return Verdict.retry(f"no answer from {target.origin} within {self._timeout_s:g} s")
        except httpx.TransportError as error:
            return Verdict.retry(f"no answer from {target.origin}: {_described(error)}")
        except OSError as error:
            return Verdict.retry(
                f"{target.host} has no address: {error.strerror or type(error).__name__}"
            )

    async def _post(
        self,
        target: Target,
        addresses: list[str],
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
    ) -> Verdict:
        """Send to the first of *addresses* that accepts a connection; send nothing twice."""
        extensions: dict[str, object] = {"timeout": {"connect": self._timeout_s / len(addresses)}}
        if not target.is_literal:
            extensions["sni_hostname"] = target.host
        for address in addresses:
            request = httpx.Request(
                "POST", target.at(address), headers=headers, content=body, extensions=extensions
            )
            try:
                response = await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
                continue
            try:
                return judge(response.status_code, response.headers.get("retry-after"), now)
            finally:
                # unread: the status says it all, and a body may be endless
                with suppress(httpx.TransportError, OSError):
                    await response.aclose()
        msg = "an address list is never empty"
        raise AssertionError(msg)


def authorities() -> ssl.SSLContext:
    """Read the certificate authorities: certifi's, or SSL_CERT_FILE's; OSError where it cannot."""
    return httpx.create_ssl_context()


def _has_answered(verdict: Verdict) -> bool | None:
    if verdict.status is not None:
        return True
    return False if verdict.kind is VerdictKind.RETRY else None


def _described(error: httpx.TransportError) -> str:
    """Name the error, with its message only where the system wrote that, not the receiver."""
    words = str(error)[:200] if isinstance(error, httpx.ConnectError) else ""
    return f"{type(error).__name__}{': ' if words else ''}{words}"

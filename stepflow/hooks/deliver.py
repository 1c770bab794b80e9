"""
One try of one delivery, over HTTP. The one module that imports httpx.

It uses httpx's transport, not its client: the client keeps cookies, which one receiver would then
be shown of another at the same address, reads proxies and passwords from the environment, follows
redirects, and logs URLs.
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
from stepflow.hooks.signature import signed_headers
from stepflow.hooks.ssrf import Allowlist, Lookup, resolve
from stepflow.hooks.target import Target
from stepflow.hooks.verdict import Verdict, VerdictKind, judge
from stepflow.hooks.webhook import Webhook
from stepflow.settings import WebhookSettings

#: addresses of one name that are tried, in the resolver's order
_MOST_ADDRESSES = 4
_FIXED_HEADERS = {"content-type": "application/json", "connection": "close"}
_AGENT = {"user-agent": "stepflow-webhooks"}


class Deliverer:
    """
    Makes deliveries, as an async context manager.

    One for a worker process, for it counts those in progress by host.

    *tls* replaces the certificate authorities (certifi's, or SSL_CERT_FILE's), *lookup* the
    system's resolver, *variables* the environment that secrets are read from.
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
        self._gate = HostLimiter(settings.per_host)
        self._lookup = lookup or Resolver()
        self._variables = variables
        # A connection serves one try: kept and shared by address, it would carry another host's
        # delivery over a TLS connection that was verified for this one.
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls or httpx.create_ssl_context(),
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
        Make one try and say what became of it.

        Answers busy at once where the host has its share already.

        *hook_id* is the same on every try, *now* the aware time of this one. Whatever a receiver
        does is a verdict, within the time of a try; raised is only what is a mistake of ours.
        """
        clock = asyncio.get_running_loop().time
        try:
            webhook = webhook.resolved(self._variables)
        except (
            InvalidOption
        ) as problem:  # whoever runs the worker can set it right: tried again, by the schedule
            return Verdict.retry(str(problem))
        place, entered_at = webhook.target.place, clock()
        after_s = self._gate.enter(place, entered_at)
        if after_s is not None:
            return Verdict.busy(after_s)
        heard: bool | None = None
        try:
            verdict = await self._try(webhook, hook_id, body, now)
            heard = _was_heard(verdict)
        finally:
            self._gate.leave(place, entered_at, clock(), heard=heard)
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
                return await self._post(target, addresses[:_MOST_ADDRESSES], headers, body, now)
        except WebhookRefused as refused:
            return Verdict.dead(str(refused))
        except TimeoutError:
            return Verdict.retry(f"no answer from {target.place} within {self._timeout_s:g} s")
        except httpx.TransportError as error:
            return Verdict.retry(f"no answer from {target.place}: {_described(error)}")
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
        """
        Send to the first of *addresses* that can be connected to.

        After that nothing is sent twice.
        """
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
                with suppress(httpx.TransportError, OSError):
                    await (
                        response.aclose()
                    )  # unread: the status says it all, and a body has no end one may wait for
        msg = "an address list is never empty"
        raise AssertionError(msg)


def _was_heard(verdict: Verdict) -> bool | None:
    if verdict.status is not None:
        return True
    return False if verdict.kind is VerdictKind.RETRY else None


def _described(error: httpx.TransportError) -> str:
    """
    Name the error.

    In its own words only where those are the system's, for a receiver can write into the others.
    """
    words = str(error)[:200] if isinstance(error, httpx.ConnectError) else ""
    return f"{type(error).__name__}{': ' if words else ''}{words}"

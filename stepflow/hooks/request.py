"""
One HTTP request on behalf of a workflow, to where webhooks may go and nowhere else.

Like `deliver` it uses httpx's transport: no cookies, no proxies or passwords of the environment, no
redirects, no URL in a log.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import httpx

from stepflow.errors import PermanentError, TransientError, WebhookRefused
from stepflow.hooks.resolver import Resolver
from stepflow.hooks.response import read_retry_after
from stepflow.hooks.ssrf import MOST_ADDRESSES, Allowlist, resolve
from stepflow.hooks.target import Target, read_target

#: headers that the request has unless it says otherwise
_OWN = {"user-agent": "stepflow", "accept-encoding": "identity"}
_lookup = Resolver()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; *retry_after_s* is what it asks for, in seconds."""

    status: int
    content_type: str
    body: bytes
    retry_after_s: float | None


async def request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    allow: Allowlist,
    connect_s: float,
    limit: int,
) -> Answer:
    """
    Send one request and return the answer, whatever its status.

    The addresses are checked once, and the first that accepts a connection is asked. Raises
    PermanentError for a target that is refused and for a body over *limit* bytes, TransientError
    where no answer came.
    """
    try:
        target = read_target(url)
        addresses = await resolve(target.host, target.port, allow, _lookup)
        addresses = addresses[:MOST_ADDRESSES]
        # as a way to the first may be broken, each has its share of the time to connect
        share_s = connect_s / len(addresses)
        for address in addresses[:-1]:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await _send(target, address, method, headers, body, share_s, limit)
        return await _send(target, addresses[-1], method, headers, body, share_s, limit)
    except WebhookRefused as refused:
        raise PermanentError(str(refused).replace("webhook ", "request to ", 1)) from None
    except httpx.TransportError as error:
        problem = f"no answer from {target.origin} ({type(error).__name__})"
        raise TransientError(problem) from None
    except OSError as error:
        problem = f"{target.host} has no address: {error.strerror or type(error).__name__}"
        raise TransientError(problem) from None


async def _send(
    target: Target,
    address: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    connect_s: float,
    limit: int,
) -> Answer:
    extensions: dict[str, object] = {"timeout": {"connect": connect_s}}
    if not target.is_literal:
        extensions["sni_hostname"] = target.host
    given = _OWN | {name.lower(): value for name, value in headers.items()}
    request = httpx.Request(
        method, target.at(address), headers=given | {"host": target.host_header}, content=body,
        extensions=extensions,
    )  # fmt: skip
    async with httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False) as transport:
        response = await transport.handle_async_request(request)
        try:
            found = await _read(response, limit, target.origin)
        finally:
            with suppress(httpx.TransportError, OSError):
                await response.aclose()
    wait_s = read_retry_after(response.headers.get("retry-after"), datetime.now(UTC))
    return Answer(response.status_code, response.headers.get("content-type", ""), found, wait_s)


async def _read(response: httpx.Response, limit: int, origin: str) -> bytes:
    found = bytearray()
    async for part in response.aiter_bytes():
        found += part
        if len(found) > limit:
            msg = f"{origin} answered with over {limit:,} bytes; ask it for less"
            raise PermanentError(msg)
    return bytes(found)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()

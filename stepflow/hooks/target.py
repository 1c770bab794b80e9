"""
Where a webhook points.

Its URL taken apart by rules of our own, and the form of it that may be shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from stepflow.errors import WebhookRefused

_URL = re.compile(
    r"(?P<scheme>[^:/?#]+)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?"
)
_AUTHORITY = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
#: a last label like this makes resolvers read the whole name as an IPv4 address (the URL standard's
#: rule too)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
#: a stretch of a path that looks like a token
_TOKEN = re.compile(r"[A-Za-z0-9_~+=-]{20,}")
#: characters: what servers and proxies take
LONGEST_URL = 8192
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """
    A URL that has the form of a webhook's.

    *host* is in lower case, an IPv6 one without brackets.
    """

    scheme: str
    host: str
    port: int
    #: path and query, as sent
    path: str = field(repr=False)

    @property
    def place(self) -> str:
        """Name the server: deliveries to the same one share its cap."""
        return f"{self._in_url(self.host)}:{self.port}"

    @property
    def host_header(self) -> str:
        """Write the Host header: the port only where it is not the scheme's own."""
        return self._in_url(self.host) if self.port == _PORTS[self.scheme] else self.place

    @property
    def is_literal(self) -> bool:
        """Whether the host is an address, so that no name need be asked."""
        return ":" in self.host or bool(_NUMBER.fullmatch(self.host.rpartition(".")[2]))

    def at(self, address: str) -> str:
        """Write the URL with *address* in the place of the host."""
        return f"{self.scheme}://{self._in_url(address)}:{self.port}{self.path}"

    @staticmethod
    def _in_url(host: str) -> str:
        return f"[{host}]" if ":" in host else host


def read_target(url: object) -> Target:
    """
    Take *url* apart.

    Raises WebhookRefused, which shows only what `shown` lets through, unless it is a webhook's.
    """
    if isinstance(url, str) and len(url) > LONGEST_URL:
        raise WebhookRefused(
            shown(url), f"it has {len(url):,} characters, the limit is {LONGEST_URL:,}"
        )
    if not isinstance(url, str) or not all("!" <= char <= "~" and char != "\\" for char in url):
        raise WebhookRefused(
            shown(url), "it must be printable ASCII without spaces or backslashes; encode the rest"
        )
    parts = _URL.fullmatch(url)
    if parts is None or (scheme := parts["scheme"].lower()) not in _PORTS:
        raise WebhookRefused(shown(url), "only http:// and https:// URLs are called")
    if "@" in parts["authority"]:
        raise WebhookRefused(
            shown(url), "it carries a user name or password; use a secret or a header"
        )
    if "%" in parts["authority"]:
        raise WebhookRefused(shown(url), "its host has a scope id or an encoded character")
    place = _AUTHORITY.fullmatch(parts["authority"])
    if place is None:
        raise WebhookRefused(shown(url), "its host and port cannot be read")
    port = int(place["port"] or _PORTS[scheme])
    if not 1 <= port <= 65535:  # noqa: PLR2004 - the range of TCP ports
        raise WebhookRefused(shown(url), "its port is not between 1 and 65535")
    if problem := _host_problem(place["v6"], place["name"]):
        raise WebhookRefused(shown(url), problem)
    host = (place["v6"] or place["name"]).lower()
    return Target(scheme, host, port, (parts["path"] or "/") + (parts["query"] or ""))


def _host_problem(v6: str | None, name: str) -> str | None:
    try:
        if v6 is not None:
            IPv6Address(v6)
        elif not _NAME.fullmatch(name):
            return "its host is not a host name"
        elif _NUMBER.fullmatch(name.rpartition(".")[2]):
            IPv4Address(name)
    except AddressValueError:
        return (
            "its host is a number but not an address as it is usually written, like 192.0.2.1 or "
            "[2001:db8::1]"
        )
    return None


def shown(url: object) -> str:
    """
    Write *url* so that it may stand in logs and errors.

    Query values, whatever looks like a token in the path, and all of a URL with an `@` are hidden.
    """
    parts = _URL.fullmatch(url) if isinstance(url, str) else None
    if parts is None:
        return "<not a URL>"
    if "@" in parts[0] or not _AUTHORITY.fullmatch(parts["authority"]):
        return "<a URL that cannot be shown>"
    path = _TOKEN.sub(lambda token: token[0][:4] + "***", parts["path"])
    query = "&".join(_hide_value(pair) for pair in (parts["query"] or "")[1:].split("&") if pair)
    text = f"{parts['scheme']}://{parts['authority']}{path}" + (f"?{query}" if query else "")
    return "".join(char if "!" <= char <= "~" else "?" for char in text)[:300]


def _hide_value(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}=***" if equals and not _TOKEN.search(name) else "***"

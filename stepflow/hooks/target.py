"""The target of a webhook: its URL, parsed by strict rules of our own, and how to show it."""

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
#: with a last label like this, resolvers and the URL standard read the name as an IPv4 address
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
#: a stretch of a path that looks like a token
_TOKEN = re.compile(r"[A-Za-z0-9_~+=-]{20,}")
#: characters: what servers and proxies take
LONGEST_URL = 8192
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL of a webhook; *host* is in lower case, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int
    #: path and query, as sent
    path: str = field(repr=False)

    @property
    def origin(self) -> str:
        """The host and port, whose deliveries share one limit."""
        return f"{self._in_url(self.host)}:{self.port}"

    @property
    def host_header(self) -> str:
        """The Host header: with the port only where it is not the scheme's default."""
        return self._in_url(self.host) if self.port == _PORTS[self.scheme] else self.origin

    @property
    def is_literal(self) -> bool:
        """Whether the host is an address and needs no look-up."""
        return ":" in self.host or bool(_NUMBER.fullmatch(self.host.rpartition(".")[2]))

    def at(self, address: str) -> str:
        """Return the URL with *address* instead of the host."""
        return f"{self.scheme}://{self._in_url(address)}:{self.port}{self.path}"

    @staticmethod
    def _in_url(host: str) -> str:
        return f"[{host}]" if ":" in host else host


def read_target(url: object) -> Target:
    """
    Parse *url*.

    Raises WebhookRefused when it cannot be a webhook's; the error shows what `shown` leaves of it.
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
    Write *url* so that logs and errors may have it.

    Hides the values of the query, what looks like a token in the path, and all of a URL with `@`.
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

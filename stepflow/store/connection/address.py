"""Redis URLs: which forms are accepted, what they mean, and how to show them without secrets."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from stepflow.errors import InvalidOption
from stepflow.settings import RedisSettings
from stepflow.store.connection.redact import redacted, redacted_url, remember
from stepflow.store.connection.url_options import OPTIONS, read_options, tls_context

__all__ = ["Address", "Times", "redacted", "redacted_url"]

_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True, "unix": False}
_SENTINEL = "+sentinel"
_FORMS = (
    "write redis://[user:password@]host[:port]/[db], unix:///path "
    "or redis+sentinel://host:port,host:port/service[/db]"
)
_UNESCAPED = (
    "it cannot be parsed; write '/', '@', '?' and ':' of a password as %2F, %40, %3F and %3A"
)
_PORT, _SENTINEL_PORT, _LAST_PORT = 6379, 26379, 65535


@dataclass(frozen=True, slots=True)
class Times:
    """The time limits of every exchange with Redis, in seconds; RedisSettings explains them."""

    connect_s: float = 5.0
    reply_s: float = 30.0
    budget_s: float = 10.0

    @classmethod
    def of(cls, settings: RedisSettings) -> Times:
        """Take the time limits from the settings; nothing else reads those three fields."""
        return cls(settings.connect_timeout_s, settings.reply_timeout_s, settings.retry_for_s)


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """
    Where a Redis is and how to talk to it: everything a connection needs.

    Holds a socket path, or a host and port, or a service name with the sentinels to ask for it;
    the login; the time limits.
    """

    host: str = "localhost"
    port: int = _PORT
    path: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    options: tuple[tuple[str, str], ...] = ()
    service: str | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    times: Times = field(default=Times())

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @property
    def shown(self) -> str:
        """The address as a URL for logs and errors, without the login."""
        if self.path is not None:
            return f"unix://{self.path}?db={self.db}"
        scheme = "rediss" if self.tls else "redis"
        if self.service is not None:
            sentinels = ",".join(_show_host_port(*each) for each in self.sentinels)
            return f"{scheme}{_SENTINEL}://{sentinels}/{self.service}/{self.db}"
        return f"{scheme}://{_show_host_port(self.host, self.port)}/{self.db}"

    @classmethod
    def parse(cls, url: str, settings: RedisSettings | None = None) -> Address:
        """
        Parse a Redis URL; the time limits come from *settings*.

        Accepts `redis:// rediss:// unix:// valkey:// valkeys://`, and all but unix with `+sentinel`
        as well. Raises InvalidOption with the reason; its message hides the password.
        """
        remember(url)
        try:
            return cls._parse(url, Times() if settings is None else Times.of(settings))
        except ValueError as error:
            _, _, tail = url.partition("://")[2].replace("?", "/").partition("/")
            # an unescaped password was split into parts, and the error about a part would quote it
            problem = _UNESCAPED if "@" in tail else str(error)
            msg = f"{redacted_url(url)!r} is not a Redis URL ({redacted(problem)}); {_FORMS}"
            raise InvalidOption(msg) from None

    @classmethod
    def _parse(cls, url: str, times: Times) -> Address:
        scheme, _, rest = url.partition("://")
        is_sentinel = scheme.endswith(_SENTINEL) and scheme != f"unix{_SENTINEL}"
        plain = scheme.removesuffix(_SENTINEL) if is_sentinel else scheme
        if plain not in _SCHEMES or "://" not in url:
            msg = f"its scheme is none of {', '.join(_SCHEMES)}, redis{_SENTINEL}"
            raise ValueError(msg)
        if "#" in rest:
            msg = "everything after '#' would be ignored; write it as %23"
            raise ValueError(msg)
        authority = re.split(r"[/?]", rest, maxsplit=1)[0]
        login, _, hosts = authority.rpartition("@")
        try:
            # without the hosts: patched Pythons refuse an address in brackets behind another host
            parts = urlsplit(f"redis://{login}@-{rest[len(authority) :]}")
        except ValueError:  # its message quotes the whole URL, password included
            raise ValueError(_UNESCAPED) from None
        options = read_options(parts.query, tls=_SCHEMES[plain], sentinel=is_sentinel)
        known = _login(login, options) | {"tls": _SCHEMES[plain], "times": times}
        path = unquote(parts.path)
        if plain == "unix":
            if hosts or not path.strip("/"):
                msg = "a socket's path begins with a third slash"
                raise ValueError(msg)
            return cls(path=path, db=_database("", options), options=_sorted(options), **known)
        words = path.strip("/").split("/")
        if is_sentinel:
            return cls._of_service(words, hosts, options, known)
        host, port = _split_host_port(hosts, _PORT)
        db = _database("/".join(words), options)
        made = cls(host or "localhost", port, db=db, options=_sorted(options), **known)
        made.check_tls()
        return made

    @classmethod
    def _of_service(
        cls, words: list[str], hosts: str, options: dict[str, str], known: dict[str, Any]
    ) -> Address:
        if not words[0] or len(words) > 2:  # noqa: PLR2004
            msg = (
                "the path of a Sentinel URL is the name of a service and perhaps a database: "
                "/mymaster/0"
            )
            raise ValueError(msg)
        sentinels = tuple(_split_host_port(each, _SENTINEL_PORT) for each in hosts.split(","))
        if not all(host for host, _ in sentinels):
            msg = "one of its sentinels has no host"
            raise ValueError(msg)
        db = _database(words[1] if len(words) > 1 else "", options)
        made = cls(
            *sentinels[0],
            db=db,
            service=words[0],
            sentinels=sentinels,
            options=_sorted(options),
            **known,
        )
        made.check_tls()
        return made

    def check_tls(self) -> None:
        """Raise ValueError if the `ssl_*` options do not make a TLS context."""
        if any(name.startswith("ssl_") for name, _ in self.options):
            self.ssl_context()

    def handshake(self, client_name: str | None) -> list[tuple[str, ...]]:
        """Return the commands that log in, select the database and name the connection."""
        commands = login_commands(self.username, self.password)
        if self.db:
            commands.append(("SELECT", str(self.db)))
        if client_name:
            commands.append(("CLIENT", "SETNAME", client_name))
        return commands

    def ssl_context(self) -> ssl.SSLContext | None:
        """Build the TLS context from the URL's `ssl_*` options; None without TLS."""
        return tls_context(dict(self.options)) if self.tls else None


def login_commands(username: str | None, password: str | None) -> list[tuple[str, ...]]:
    """
    Return the AUTH command as a list of one, or an empty list when there is no login.

    A username without a password is sent with an empty one, for users declared with `nopass`.
    """
    if username:
        return [("AUTH", username, password or "")]
    return [("AUTH", password)] if password else []


def _login(login: str, options: dict[str, str]) -> dict[str, Any]:
    """Merge the user and password of the authority with those of the query; the authority wins."""
    user, colon, password = login.partition(":")
    named = options.pop("username", None), options.pop("password", None)
    return {
        "username": unquote(user) or named[0] or None,
        "password": unquote(password) if colon and password else named[1] or None,
    }


def _sorted(options: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(options.items()))


def _database(written: str, options: dict[str, str]) -> int:
    asked = options.pop("db", None)
    if written and asked is not None and written != asked:
        msg = f"it names two databases, {written} and {asked}"
        raise ValueError(msg)
    try:
        return int(OPTIONS["db"](asked or written or "0"))
    except ValueError:
        msg = f"its database {asked or written!r} is not a number"
        raise ValueError(msg) from None


def _split_host_port(written: str, default: int) -> tuple[str, int]:
    """Parse `host[:port]`, with an IPv6 host in brackets."""
    host, _, port = (
        written.rpartition(":")
        if written.rpartition(":")[1] and not written.endswith("]")
        else (written, "", "")
    )
    if written.endswith(":"):
        host, port = written[:-1], ""
    if "[" in host or "]" in host:
        if not (host.startswith("[") and host.endswith("]")):
            msg = "it cannot be parsed; an IPv6 address stands in brackets"
            raise ValueError(msg)
        host = host[1:-1]
    elif ":" in host or "," in host:
        msg = (
            "it cannot be parsed; an IPv6 address stands in brackets, several hosts need +sentinel"
        )
        raise ValueError(msg)
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
        msg = f"its port is not a number from 1 to {_LAST_PORT}"
        raise ValueError(msg)
    return unquote(host), int(port or default)


def _show_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

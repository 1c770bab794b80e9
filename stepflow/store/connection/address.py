"""
Redis URLs: the forms that are taken, what they mean, and how they are shown without their password.
"""

from __future__ import annotations

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
_FORMS = "write redis://[user:password@]host[:port]/[db], unix:///path or redis+sentinel://host:port,host:port/service[/db]"
_UNESCAPED = (
    "it does not come apart; write '/', '@', '?' and ':' of a password as %2F, %40, %3F and %3A"
)
_PORT, _SENTINEL_PORT, _LAST_PORT = 6379, 26379, 65535


@dataclass(frozen=True, slots=True)
class Times:
    """The time limits of everything that goes to a Redis, in seconds: see RedisSettings."""

    connect_s: float = 5.0
    reply_s: float = 30.0
    budget_s: float = 10.0

    @classmethod
    def of(cls, settings: RedisSettings) -> Times:
        """Read them from the settings: the one place that does."""
        return cls(settings.connect_timeout_s, settings.reply_timeout_s, settings.retry_for_s)


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """
    Where a Redis is and how to talk to it: all that any connection of ours is made from.

    A socket path, a host and port, or a service and the sentinels that know where it is; the login;
    the time limits.
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
        """The address for people: never a password."""
        if self.path is not None:
            return f"unix://{self.path}?db={self.db}"
        scheme = "rediss" if self.tls else "redis"
        if self.service is not None:
            return f"{scheme}{_SENTINEL}://{','.join(_place(*each) for each in self.sentinels)}/{self.service}/{self.db}"
        return f"{scheme}://{_place(self.host, self.port)}/{self.db}"

    @classmethod
    def parse(cls, url: str, settings: RedisSettings | None = None) -> Address:
        """
        Read a URL; the time limits are those of *settings*.

        `redis:// rediss:// unix:// valkey:// valkeys://`, all but unix with `+sentinel` as well.
        Raises InvalidOption, which says what is wrong with the password hidden.
        """
        remember(url)
        try:
            return cls._parse(url, Times() if settings is None else Times.of(settings))
        except ValueError as error:
            _, _, tail = url.partition("://")[2].replace("?", "/").partition("/")
            # a password that was not escaped has come apart, and what is wrong with its parts would
            # quote them
            problem = _UNESCAPED if "@" in tail else str(error)
            msg = f"{redacted_url(url)!r} is no Redis URL ({redacted(problem)}); {_FORMS}"
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
            msg = "a '#' begins what is not read; write it as %23"
            raise ValueError(msg)
        try:
            parts = urlsplit(f"redis://{rest}")
            login, _, places = parts.netloc.rpartition("@")
        except ValueError:  # in its own words it quotes the URL, password and all
            raise ValueError(_UNESCAPED) from None
        options = read_options(parts.query, tls=_SCHEMES[plain], sentinel=is_sentinel)
        known = _login(login, options) | {"tls": _SCHEMES[plain], "times": times}
        path = unquote(parts.path)
        if plain == "unix":
            if places or not path.strip("/"):
                msg = "a socket's path begins with a third slash"
                raise ValueError(msg)
            return cls(path=path, db=_database("", options), options=_sorted(options), **known)
        words = path.strip("/").split("/")
        if is_sentinel:
            return cls._of_service(words, places, options, known)
        host, port = _split_place(places, _PORT)
        db = _database("/".join(words), options)
        made = cls(host or "localhost", port, db=db, options=_sorted(options), **known)
        made.check_tls()
        return made

    @classmethod
    def _of_service(
        cls, words: list[str], places: str, options: dict[str, str], known: dict[str, Any]
    ) -> Address:
        if not words[0] or len(words) > 2:  # noqa: PLR2004
            msg = "the path of a Sentinel URL is the name of a service and perhaps a database: /mymaster/0"
            raise ValueError(msg)
        sentinels = tuple(_split_place(place, _SENTINEL_PORT) for place in places.split(","))
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
        """
        Raise ValueError for `ssl_*` options that make no context; nothing is read without any.
        """
        if any(name.startswith("ssl_") for name, _ in self.options):
            self.ssl_context()

    def handshake(self, client_name: str | None) -> list[tuple[str, ...]]:
        """Give the commands that a fresh connection starts with."""
        commands = login_commands(self.username, self.password)
        if self.db:
            commands.append(("SELECT", str(self.db)))
        if client_name:
            commands.append(("CLIENT", "SETNAME", client_name))
        return commands

    def ssl_context(self) -> ssl.SSLContext | None:
        """Make the TLS context that the URL's `ssl_*` options ask for; None without TLS."""
        return tls_context(dict(self.options)) if self.tls else None


def login_commands(username: str | None, password: str | None) -> list[tuple[str, ...]]:
    """
    Give the command that logs in, or none.

    A user without a password is one whom the server asks for none.
    """
    if username:
        return [("AUTH", username, password or "")]
    return [("AUTH", password)] if password else []


def _login(login: str, options: dict[str, str]) -> dict[str, Any]:
    """Take user and password out of the authority and the options; those of the authority count."""
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


def _split_place(written: str, default: int) -> tuple[str, int]:
    """Read `host[:port]`, the host of IPv6 in brackets."""
    host, _, port = (
        written.rpartition(":")
        if written.rpartition(":")[1] and not written.endswith("]")
        else (written, "", "")
    )
    if written.endswith(":"):
        host, port = written[:-1], ""
    if "[" in host or "]" in host:
        if not (host.startswith("[") and host.endswith("]")):
            msg = "it does not come apart; an IPv6 address stands in brackets"
            raise ValueError(msg)
        host = host[1:-1]
    elif ":" in host or "," in host:
        msg = "it does not come apart; an IPv6 address stands in brackets, several hosts need +sentinel"
        raise ValueError(msg)
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
        msg = f"its port is not a number from 1 to {_LAST_PORT}"
        raise ValueError(msg)
    return unquote(host), int(port or default)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

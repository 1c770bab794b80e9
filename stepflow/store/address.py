"""Redis URLs: the forms that are taken, what they mean, and how they are shown without their password."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from stepflow.errors import InvalidOption

_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True, "unix": False}
#: up to the last @ of a word, for a password may hold '/' and '@' although it should not, and in a query
_SECRET = re.compile(r"(?<=://)\S*@|(?<=password=)[^&\s]*")


def redacted(text: str) -> str:
    """Give *text* with the user and password of every URL in it taken out."""
    return _SECRET.sub(lambda match: "***@" if match[0].endswith("@") else "***", text)


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where a Redis is: a socket path or host and port, and how to log in."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    options: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @property
    def shown(self) -> str:
        """The address for people: never a password."""
        if self.path is not None:
            return f"unix://{self.path}?db={self.db}"
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.db}"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read `redis:// rediss:// unix:// valkey:// valkeys://` URLs; raises InvalidOption with the password hidden."""
        try:
            return cls._parse(url)
        except ValueError as error:
            shown = redacted(url) if "://" in url else f"***@{url.rpartition('@')[2]}" if "@" in url else url
            msg = f"{shown!r} is no Redis URL ({error}); write redis://[user:password@]host[:port]/[db] or unix:///path"
            raise InvalidOption(msg) from None

    @classmethod
    def _parse(cls, url: str) -> Address:
        try:
            parts = urlsplit(url)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            db = int(query.pop("db", "") or (parts.path.strip("/") if parts.scheme != "unix" else "") or "0")
            port = parts.port
        except ValueError:  # in its own words it quotes the URL, password and all
            msg = "it does not come apart; write '/', '@' and ':' of a password as %2F, %40 and %3A"
            raise ValueError(msg) from None
        if parts.scheme not in _SCHEMES:
            msg = f"its scheme is none of {', '.join(_SCHEMES)}"
            raise ValueError(msg)
        login: dict[str, Any] = {
            "db": db,
            "username": unquote(parts.username) if parts.username else query.pop("username", None),
            "password": unquote(parts.password) if parts.password else query.pop("password", None),
            "options": tuple(sorted(query.items())),
        }
        if parts.scheme == "unix":
            return cls(path=unquote(parts.path), **login)
        return cls(parts.hostname or "localhost", port or 6379, tls=_SCHEMES[parts.scheme], **login)

    def handshake(self, client_name: str | None) -> list[tuple[str, ...]]:
        """Give the commands that a fresh connection starts with."""
        commands: list[tuple[str, ...]] = []
        if self.password:
            commands.append(("AUTH", self.username, self.password) if self.username else ("AUTH", self.password))
        if self.db:
            commands.append(("SELECT", str(self.db)))
        if client_name:
            commands.append(("CLIENT", "SETNAME", client_name))
        return commands

    def ssl_context(self) -> ssl.SSLContext | None:
        """Make the TLS context that the URL's `ssl_*` options ask for; None without TLS."""
        if not self.tls:
            return None
        options = dict(self.options)
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if options.get("ssl_cert_reqs") in ("none", "CERT_NONE"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif options.get("ssl_check_hostname", "true").lower() in ("false", "no", "0"):
            context.check_hostname = False
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
        return context

    def client_options(self) -> dict[str, Any]:
        """Give the keyword arguments that redis-py's client takes for this address."""
        options: dict[str, Any] = {"db": self.db, "username": self.username, "password": self.password}
        if self.path is not None:
            return options | {"unix_socket_path": self.path}
        options |= {"host": self.host, "port": self.port}
        if self.tls:
            tls = {name: value for name, value in self.options if name.startswith("ssl_")}
            if "ssl_check_hostname" in tls:
                tls["ssl_check_hostname"] = tls["ssl_check_hostname"].lower() not in ("false", "no", "0")  # type: ignore[assignment]
            options |= {"ssl": True, **tls}
        return options

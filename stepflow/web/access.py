"""Who may do what: tokens out of files, hosts that the server goes by, pages of other origins."""

from __future__ import annotations

import hashlib
import hmac
import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from starlette.requests import Request

from stepflow.engine.steering.audit import this_user
from stepflow.errors import InvalidOption
from stepflow.web.problems import CrossOrigin, NotAllowed, NotAuthenticated, UnknownHost

#: everything, only looking, these verbs and looking, or nothing
Rights = Literal["all", "read"] | Collection[str] | None

#: the names of this machine for itself
LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: the right that looking needs; other operations need that of their verb
READ = "read"
#: the cookie of a browser that has shown its token
COOKIE = "stepflow-session"
#: the bytes that a token must have at least
_SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Grant:
    """
    What somebody may do, and the name under which it is written down.

    *rights* is "all", "read", or the names of verbs, which include reading; None for nothing.
    """

    rights: Rights
    by: str = ""

    def allows(self, verb: str) -> bool:
        """Whether it includes *verb*."""
        if self.rights is None or self.rights == "all" or verb == READ:
            return self.rights is not None
        return self.rights != "read" and verb in self.rights

    def check(self, verb: str) -> None:
        """Raise NotAllowed where it does not include *verb*."""
        if not self.allows(verb):
            raise NotAllowed(verb)


#: says what the sender of a request may do
Access = Callable[[Request], "Grant | Rights | Awaitable[Grant | Rights]"]


def everything(request: Request) -> Grant:
    """Allow everything: for a server that only this machine reaches, or behind your own guard."""
    del request
    return Grant("all")


def reading(request: Request) -> Grant:
    """Allow looking, and no verb."""
    del request
    return Grant("read")


async def granted(access: Access, request: Request, verb: str) -> Grant:
    """Say who asks for *verb*, and what else they may do; raises NotAuthenticated, NotAllowed."""
    answer = access(request)
    if inspect.isawaitable(answer):
        answer = await answer
    grant = answer if isinstance(answer, Grant) else Grant(answer)
    if grant.rights is None:
        raise NotAuthenticated
    grant.check(verb)
    return grant if grant.by else Grant(grant.rights, this_user())


class Tokens:
    """
    Knows tokens by their digests; `access` for `app`.

    A browser that has shown a token once shows a cookie from then on, which is made of the token
    and is good for as long as it: no server has to remember anything.
    """

    def __init__(self, of_all: Mapping[str, str], of_readers: Mapping[str, str]) -> None:
        self._grants = [
            *((_digest(cookie_of(token)), Grant("read", by)) for token, by in of_readers.items()),
            *((_digest(cookie_of(token)), Grant("all", by)) for token, by in of_all.items()),
        ]

    def __call__(self, request: Request) -> Grant:
        """Give what the bearer of the request's token, or of its cookie, may do."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.grant_of(token.strip())
        return self._of_cookie(request.cookies.get(COOKIE, ""))

    def grant_of(self, token: str) -> Grant:
        """Give what the bearer of a token may do."""
        return self._of_cookie(cookie_of(token))

    def _of_cookie(self, cookie: str) -> Grant:
        given, found = _digest(cookie), Grant(None)
        for known, grant in self._grants:  # all of them: the time taken says nothing
            if hmac.compare_digest(given, known):
                found = grant
        return found


def cookie_of(token: str) -> str:
    """Make what a browser shows in place of a token, from which the token cannot be told."""
    return _digest(f"stepflow cookie:{token}").hex()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def read_tokens(path: Path | None) -> dict[str, str]:
    """
    Read a file of tokens, each with the name under which its verbs are written down.

    A line is `TOKEN` or `NAME TOKEN`; empty ones and those that begin with `#` are left out. Raises
    InvalidOption.
    """
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        msg = f"the tokens of {path} cannot be read: {error}"
        raise InvalidOption(msg) from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 2 or len(words[-1]) < _SHORTEST:  # noqa: PLR2004  a name and a token
            msg = (
                f"{path}, line {number}: write TOKEN or NAME TOKEN, a token of at least "
                f"{_SHORTEST} characters without spaces"
            )
            raise InvalidOption(msg)
        found[words[-1]] = words[0] if len(words) > 1 else "token"
    if not found:
        msg = f"{path} has no token; write one in a line"
        raise InvalidOption(msg)
    return found


def check_host(request: Request, hosts: Collection[str] | None) -> None:
    """Refuse a request for a host that is not known, as one from a rebound name would be."""
    given = request.headers.get("host", "")
    if hosts is not None and "*" not in hosts and _name_of(given) not in hosts:
        raise UnknownHost(given)


def _name_of(host: str) -> str:
    """Give a host without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def check_origin(request: Request) -> None:
    """Refuse a verb that a page of another origin has a browser send."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None and site not in {"same-origin", "none"}:
        raise CrossOrigin(origin or site)
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise CrossOrigin(origin)

"""Secrets taken out of text: whatever may hold a Redis URL passes here before a person sees it."""

from __future__ import annotations

import re

#: seconds-free heuristics, the widest first: up to the last @ of a word, for a password may hold '/' and '@' although it
#: should not; then a password with spaces, told from a host by what follows the first colon; then those in a query
_SECRETS = re.compile(
    r"(?<=://)\S*@"
    r"|(?<=://)(?!\[|[\w.,-]*(?::\d+(?:,[\w.-]+)?)*(?:[\s/?\"'),;]|$))[^@\n]*@(?:\S*@)?"
    r"|(?<=password=)[^&\s]*"
)
#: logins of the URLs this process was given, as they stand there: found in any text, whatever they hold
_known: set[str] = set()


def remember(url: str) -> None:
    """Have the login that *url* holds taken out of every text from now on."""
    _, there, rest = url.partition("://")
    login = rest.rpartition("@")[0]
    if there and login:
        _known.add(f"://{login}@")


def redacted(text: str) -> str:
    """Give *text* with the user and password of every URL in it taken out."""
    for login in _known:
        text = text.replace(login, "://***@")
    return _SECRETS.sub(lambda match: "***@" if match[0].endswith("@") else "***", text)


def redacted_url(url: str) -> str:
    """Give *url*, the whole of it one URL or meant to be, without its login: whatever stands before the last @."""
    before, there, rest = url.partition("://")
    if not there:
        return redacted(f"***@{url.rpartition('@')[2]}" if "@" in url else url)
    return redacted(f"{before}://***@{rest.rpartition('@')[2]}" if "@" in rest else url)

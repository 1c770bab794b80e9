"""Removes passwords from text that may contain a Redis URL, before anyone sees it."""

from __future__ import annotations

import re

#: what looks like a login, the widest pattern first: up to the last @ of a word, since a password
#: may contain '/' and '@' unescaped; then a password with spaces, unless what follows the first
#: colon shows it to be a host and port; then passwords in a query
_SECRETS = re.compile(
    r"(?<=://)\S*@"
    r"|(?<=://)(?!\[|[\w.,-]*(?::\d+(?:,[\w.-]+)?)*(?:[\s/?\"'),;]|$))[^@\n]*@(?:\S*@)?"
    r"|(?<=password=)[^&\s]*"
)
#: a password in the query of a text that is one URL
_IN_QUERY = re.compile(r"(?<=password=)[^&]*")
#: logins of the URLs this process has parsed, as written there, and their replacements
_known: dict[str, str] = {}


def remember(url: str) -> None:
    """Remember the login in *url*, so that `redacted` removes it from any text."""
    _, there, rest = url.partition("://")
    login = rest.rpartition("@")[0]
    if there and login:
        _known[f"://{login}@"] = "://***@"
    for secret in _IN_QUERY.findall(rest):
        if secret:
            _known[f"password={secret}"] = "password=***"


def redacted(text: str) -> str:
    """Return *text* without the users and passwords of the URLs in it."""
    for secret, shown in list(_known.items()):
        text = text.replace(secret, shown)
    return _SECRETS.sub(lambda match: "***@" if match[0].endswith("@") else "***", text)


def redacted_url(url: str) -> str:
    """
    Return *url* without its login, which is everything before the last @.

    The whole text must be one URL, or be meant as one.
    """
    before, there, rest = _IN_QUERY.sub("***", url).partition("://")
    if not there:
        return redacted(f"***@{url.rpartition('@')[2]}" if "@" in url else url)
    return redacted(f"{before}://***@{rest.rpartition('@')[2]}" if "@" in rest else url)

"""Secrets taken out of text: whatever may hold a Redis URL passes here before a person sees it."""

from __future__ import annotations

import re

#: seconds-free heuristics, the widest first: up to the last @ of a word, for a password may hold
#: '/' and '@' although it should not; then a password with spaces, told from a host by what follows
#: the first colon; then those in a query
_SECRETS = re.compile(
    r"(?<=://)\S*@"
    r"|(?<=://)(?!\[|[\w.,-]*(?::\d+(?:,[\w.-]+)?)*(?:[\s/?\"'),;]|$))[^@\n]*@(?:\S*@)?"
    r"|(?<=password=)[^&\s]*"
)
#: the same in what is known to be one URL
_IN_QUERY = re.compile(r"(?<=password=)[^&]*")
#: logins of the URLs this process was given, as they stand there, and what is shown instead: found
#: in any text
_known: dict[str, str] = {}


def remember(url: str) -> None:
    """Have the login that *url* holds taken out of every text from now on."""
    _, there, rest = url.partition("://")
    login = rest.rpartition("@")[0]
    if there and login:
        _known[f"://{login}@"] = "://***@"
    for secret in _IN_QUERY.findall(rest):
        if secret:
            _known[f"password={secret}"] = "password=***"


def redacted(text: str) -> str:
    """Give *text* with the user and password of every URL in it taken out."""
    for secret, shown in list(_known.items()):
        text = text.replace(secret, shown)
    return _SECRETS.sub(lambda match: "***@" if match[0].endswith("@") else "***", text)


def redacted_url(url: str) -> str:
    """
    Give *url*, the whole of it one URL or meant to be, without its login.

    Whatever stands before the last @.
    """
    before, there, rest = _IN_QUERY.sub("***", url).partition("://")
    if not there:
        return redacted(f"***@{url.rpartition('@')[2]}" if "@" in url else url)
    return redacted(f"{before}://***@{rest.rpartition('@')[2]}" if "@" in rest else url)

"""
Redis error replies, classified by their first word, with advice for the user.

There are three kinds. *Elsewhere*: this server cannot carry out the call, but another one can, or
this one later. It wrote nothing, so the connection is dropped, the primary looked up again, and the
call sent there, even one that must not be sent twice. *Later*: the same server can carry out the
call in a moment; it is sent again over the same connection. Any other error goes to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepflow.errors import RedisRefused, UnreadableRecord
from stepflow.store.connection.redact import redacted
from stepflow.store.connection.resp import ReplyError

#: error replies of a server that does not take writes, or not yet
ELSEWHERE = {
    "READONLY": "this is a replica, or was made one: connect to the primary",
    "MASTERDOWN": "this is a replica that has lost its primary: connect to the primary",
    "LOADING": "it is still loading its data; try again shortly",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write wants; bring them back",
    "UNBLOCKED": "it was made a replica: connect to the primary",
    "CLUSTERDOWN": (
        "this is a Redis Cluster, and it is down; stepflow needs a single Redis or Sentinel"
    ),
    "MAXCLIENTS": "it has as many clients as maxclients allows; raise that, or close some",
}
#: error replies of a server that is busy for the moment
LATER = {
    "BUSY": "a script holds it up; wait, or end that with SCRIPT KILL",
    "TRYAGAIN": "it is moving keys; try again shortly",
}
_CLUSTER = "this is a Redis Cluster; stepflow's scripts span keys: use a single Redis, or Sentinel"
_HINTS = ELSEWHERE | LATER | {
    "OOM": "give it more memory or delete data; nothing was written",
    "MISCONF": "it cannot persist: look at its disk and log; nothing was written",
    "NOAUTH": "put the password into the URL",
    "WRONGPASS": "correct the user or password in the URL",
    "NOPERM": "this Redis user may not do that; grant it",
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
}  # fmt: skip
#: a phrase in an ERR reply, and the error word it stands for, or the advice
_PHRASES = {
    "max number of clients": "MAXCLIENTS",
    "Authentication required": "NOAUTH",
    "ACL failure": "NOPERM",
    "executing the script can't": "NOPERM",
    "without any password configured": "the server has no password: take it out of the URL",
    "DB index is out of range": "the server has fewer databases: correct the number in the URL",
    "SELECT is not allowed in cluster mode": _CLUSTER,
    "unknown command": "the server lacks it: it may be a Sentinel (write redis+sentinel://"
                       "HOST:PORT/SERVICE), too old, or it has the command renamed",
}  # fmt: skip


def word_of(message: str) -> str:
    """
    Return the word that classifies an error reply, such as READONLY or OOM.

    Finds it inside a script's error, too, which wraps that of the command it called.
    """
    word = message.split(" ", 1)[0].lstrip("-")
    if word in _HINTS:
        return word
    for part in message.replace(":", " ").split()[:40]:
        if part.lstrip("-@") in _HINTS and part.isupper():
            return part.lstrip("-@")
    for phrase, meaning in _PHRASES.items():
        if phrase in message and meaning in _HINTS:
            return meaning
    return word


def refusal_of(message: str, key: str = "") -> RedisRefused | UnreadableRecord:
    """
    Return the exception for an error reply; UnreadableRecord for a key of the wrong type.

    *key* is the one that was asked for, where it was one.
    """
    if "WRONGTYPE" in message:
        return UnreadableRecord(
            f"key {key}" if key else "a key of stepflow's",
            f"something else wrote it: {redacted(message)}",
        )
    return refused_by(message)


def refused_by(message: str) -> RedisRefused:
    """Return RedisRefused for an error reply, with advice for the user."""
    word = word_of(message)
    hint = _HINTS.get(word) or next(
        (hint for phrase, hint in _PHRASES.items() if phrase in message), None
    )
    return RedisRefused(redacted(message), hint or "look at the server's log", word=word)


def refuse_errors(replies: Sequence[Any]) -> None:
    """Raise RedisRefused for the first of *replies* that is an error."""
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise refusal_of(str(reply))


def may_pass(error: RedisRefused) -> bool:
    """Return whether the same call may succeed later, on this server or on another."""
    return error.word in ELSEWHERE or error.word in LATER

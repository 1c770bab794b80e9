"""
Scripts that a connection sends before their first call.

EVALSHA knows a script by its digest. A server that does not know it refuses the call while it
carries out those behind it, so each connection sends a script's text in front of its first call:
calls arrive in the order in which they were made, on a fresh server as well. Only a server whose
scripts somebody flushes under an open connection still answers NOSCRIPT.
"""

from __future__ import annotations

from typing import Any

from stepflow.errors import RedisRefused
from stepflow.store.calls import Call, CalledScript, raw
from stepflow.store.connection.error_replies import may_pass

#: for the digest of each script that was sent over a connection: whether the server has said that
#: it knows it, or why it refused it for good
LoadedScripts = dict[str, bool | RedisRefused]


class ScriptLoad(Call[Any]):
    """A script on its way; it is never sent again by itself, as calls of the script are."""

    __slots__ = ("sha",)

    def __init__(self, script: CalledScript) -> None:
        super().__init__(None, ("SCRIPT", "LOAD", script.text), raw, resend=False)
        self.sha = script.sha

    def note(self, loaded: LoadedScripts, error: BaseException | None) -> None:
        """Note how it ended: with *error*, or well."""
        if error is None:
            loaded[self.sha] = True
        elif isinstance(error, RedisRefused) and not may_pass(error):
            loaded[self.sha] = error
        else:
            loaded.pop(self.sha, None)


def refusal_to_load(loaded: LoadedScripts, sha: str) -> RedisRefused | None:
    """
    Say why a script that the server does not know cannot be loaded; else it is to be sent again.

    It may be on its way already.
    """
    state = loaded.get(sha)
    if state is not False:
        loaded.pop(sha, None)
    return state if isinstance(state, RedisRefused) else None

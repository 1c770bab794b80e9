"""The fake server: a Redis with Lua in this process, which ends with the harness."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, TypeVar, cast

from stepflow.store.calls import Call
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.scripts import ADD_ENTRY, PUT_MEMO, RENEW_CLAIMS, TAKE_SIGNAL

if find_spec("fakeredis") is None or find_spec("lupa") is None:
    raise ModuleNotFoundError(
        "stepflow.testing needs fakeredis with Lua; install it with: pip install "
        "'stepflow-rq[testing]'"
    )

import fakeredis

T = TypeVar("T")

#: scripts that write under a claim: after them there is nothing new to claim
_QUIET = frozenset((ADD_ENTRY, PUT_MEMO, RENEW_CLAIMS, TAKE_SIGNAL))


class CompiledScripts:
    """
    The Lua of a fake server, with each script compiled once.

    fakeredis compiles a script anew and collects all of Lua's garbage for each call: of the CPU
    time of workflows in a harness, a third.
    """

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._functions: dict[bytes | str, Any] = {"collectgarbage()": lambda: None}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def execute(self, source: bytes | str) -> Any:
        """Run a script, as `lupa.LuaRuntime.execute` does."""
        function = self._functions.get(source)
        if function is None:
            function = self._functions[source] = self._runtime.compile(source)
        return function()


def quick_server() -> fakeredis.FakeServer:
    """Make a fake server that compiles each script once."""
    server: Any = fakeredis.FakeServer()
    fakeredis.FakeRedis(server=server).eval("return 1", 0)  # makes its Lua
    runtime = getattr(server, "_lua_runtime", None)
    if runtime is not None:  # else a version that keeps it elsewhere: it compiles them each time
        server._lua_runtime = CompiledScripts(runtime)  # noqa: SLF001  there is no other way
    return cast("fakeredis.FakeServer", server)


class FakeServer:
    """One fake server, and the connection that everything in this process uses."""

    def __init__(self) -> None:
        self.client: Any = fakeredis.FakeRedis(server=quick_server())
        self.connection = CountingConnection(self.client, "the harness's fake server")

    def close(self) -> None:
        """Close the connection to it."""
        self.client.close()


class CountingConnection(SyncConnection):
    """
    A connection that counts, for the harness.

    *count* counts all that was sent: while it grows, something goes on. *moves* counts what may
    have handed a run over: when it has grown, there may be something to claim.
    """

    count = moves = 0

    def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls, in order."""
        self.count += 1
        if any(call.script is not None and call.script not in _QUIET for call in calls):
            self.moves += 1
        return super().calls(calls)

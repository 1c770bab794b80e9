"""
What a server's settings can lose of what it has acknowledged, and which server process it is.

Both are asked at start and after a reconnect, never in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from stepflow.store.calls import Call, OptionalCall, batch
from stepflow.store.connection.server_check import info_of
from stepflow.store.durability.level import UNCONFIRMED, Durability
from stepflow.store.rights import ask_rights

#: what each `appendfsync` can lose when the machine fails; the last is for one that is not known
_OF_THE_FILE = {
    "always": "appendfsync is always: no acknowledged step is lost with the server or its machine",
    "everysec": (
        "appendfsync is everysec: up to 2 s of acknowledged steps may be lost with its machine"
    ),
    "no": (
        "appendfsync is no: what the kernel has not written, often 30 s of acknowledged steps, may "
        "be lost with its machine"
    ),
    "": "unless appendfsync is always, 2 s of acknowledged steps may be lost with its machine",
}
_OF_SNAPSHOTS = (
    "the append-only file is off: all steps acknowledged since the last snapshot may be lost with "
    "the server"
)
_OF_MEMORY = (
    "neither an append-only file nor snapshots: all that was acknowledged is lost with the server"
)
_OF_REPLICAS = "; when a replica takes over, also what it had not received"


#: what is lost where every write waits
_OF_CONFIRMED = {
    "fsync": "durability is fsync: nothing acknowledged is lost with the server or its machine",
    "replicated": (
        "durability is replicated: nothing acknowledged is lost with the server or its machine, "
        "nor when a replica that has confirmed it takes over"
    ),
}


class Persistence(NamedTuple):
    """The settings of a server that say what it can lose; empty texts are not known."""

    appends: bool
    appendfsync: str
    save: str
    replicas: int

    def loss_at(self, durability: Durability) -> str:
        """Say in a sentence what of the acknowledged may be lost."""
        if durability not in UNCONFIRMED:
            return _OF_CONFIRMED[durability]
        if self.appends:
            sentence = _OF_THE_FILE.get(self.appendfsync, _OF_THE_FILE[""])
        else:
            sentence = _OF_MEMORY if self.save == '""' else _OF_SNAPSHOTS
        return sentence + (_OF_REPLICAS if self.replicas else "")


async def load_persistence() -> Persistence:
    """
    Read what a server can lose; settings that the user may not read stay unknown.

    Whether it may is asked first: each refusal is a line in the server's ACL log.
    """
    info, replication, allowed = await batch(
        _info_of("persistence"), _info_of("replication"), _may_read_settings()
    )
    appendfsync = save = ""
    if allowed != [False]:
        appendfsync, save = await batch(_setting("appendfsync"), _setting("save"))
    replicas = replication.get("connected_slaves", "0")
    return Persistence(
        info.get("aof_enabled", "1") == "1",
        appendfsync.strip('"'),
        save,
        int(replicas) if replicas.isdigit() else 0,
    )


class ServerIdentity(NamedTuple):
    """Which process a server is, and which history of writes it goes on with."""

    process: str
    history: str
    history_before: str

    def words_since(self, before: ServerIdentity) -> str:
        """Say what has become of the server that *before* was; empty if it is still that."""
        if self == before or not (self.process and before.process):
            return ""
        if before.history and self.history_before == before.history:
            return "a replica has taken over"
        if self.process == before.process:
            return "" if self.history == before.history else "its data were replaced"
        return "the server was started again, or is another one"


async def load_identity() -> ServerIdentity:
    """Read which server this is; empty where it does not say."""
    server, replication = await batch(_info_of("server"), _info_of("replication"))
    return ServerIdentity(
        server.get("run_id", ""),
        replication.get("master_replid", ""),
        replication.get("master_replid2", ""),
    )


def _info_of(section: str) -> OptionalCall[dict[str, str]]:
    return OptionalCall(None, ("INFO", section), info_of, misfit=dict)


def _may_read_settings() -> Call[list[bool]]:
    """Ask whether the user may read settings; no answer where the server cannot say."""
    asked = ask_rights([("config", "get", "save")])
    return OptionalCall(asked.script, asked.parts, asked.read, misfit=list)


def _setting(name: str) -> OptionalCall[str]:
    """Read a setting, an empty list as '""'; empty where the user may not, or it is unknown."""

    def read(reply: Any) -> str:
        pairs = (
            reply.items() if isinstance(reply, Mapping) else zip(*[iter(reply)] * 2, strict=True)
        )
        found = [value for _, value in pairs]
        if not found:
            return ""
        return (found[0].decode() if isinstance(found[0], bytes) else str(found[0])) or '""'

    return OptionalCall(None, ("CONFIG", "GET", name), read, misfit=str)

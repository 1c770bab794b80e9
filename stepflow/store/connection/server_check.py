"""
Checks whether a Redis can run stepflow: version, cluster, eviction, persistence, data format.

The checks run at start, so that a wrong server is reported before any work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stepflow.errors import ServerUnfit
from stepflow.store.calls import Call, batch, command, nothing
from stepflow.store.keys import Keys

#: the oldest servers that know what the scripts use (LPOP with a count, ZADD GT, LMOVE)
OLDEST_REDIS = (6, 2)
#: number of the data format; raise it when earlier versions cannot read what this one writes
FORMAT = 2


def info_of(reply: object) -> dict[str, str]:
    """Read the fields of INFO, or of a section of it, as text."""
    if isinstance(reply, dict):
        return {str(name): str(value) for name, value in reply.items()}
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def server_info() -> Call[dict[str, str]]:
    """Return the fields of INFO as text."""
    return command("INFO", read=info_of)


async def check_server() -> tuple[list[str], str | None]:
    """
    Raise ServerUnfit for a server that stepflow cannot run on.

    Returns warnings about its configuration, as sentences, and the reason why it takes no writes at
    the moment, or None.
    """
    info = await server_info()
    mode = info.get("redis_mode") or info.get("server_mode")  # Valkey's word for it
    if mode == "sentinel":
        msg = (
            "this is a Sentinel, not the Redis it watches: write redis+sentinel://HOST:PORT/SERVICE"
        )
        raise ServerUnfit(msg)
    if info.get("cluster_enabled") == "1" or mode == "cluster":
        msg = (
            "this is a Redis Cluster; stepflow's scripts span keys: "
            "use a single Redis, or redis+sentinel://"
        )
        raise ServerUnfit(msg)
    version = info.get("redis_version", "0.0")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_REDIS and "valkey_version" not in info:
        msg = f"Redis {version} is too old; stepflow needs Redis 6.2 or Valkey 7.2, or newer"
        raise ServerUnfit(msg)
    return list(warnings_in(info)), _obstacle(info)


def _obstacle(info: dict[str, str]) -> str | None:
    """Return why the server takes no writes for now, or None."""
    if info.get("loading", "0") != "0":
        return "it is still loading its data"
    if info.get("role", "master") != "master":
        return (
            "this is a replica, and writes go to the primary: "
            "correct the URL, unless it is about to become that"
        )
    return None


def warnings_in(info: Mapping[str, str]) -> list[str]:
    """Give what is dangerous in the settings of a server, as sentences."""
    found = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and info.get("maxmemory", "0") != "0":
        found.append(
            f"maxmemory-policy is {policy}: a full Redis will throw runs away; set it to noeviction"
        )
    elif policy != "noeviction":
        found.append(
            f"maxmemory-policy is {policy}: should a memory limit be set, runs are thrown away; "
            "set it to noeviction"
        )
    if info.get("aof_enabled", "1") == "0":
        found.append(
            "the append-only file is off: a crash of Redis loses all since its last snapshot; "
            "set appendonly yes"
        )
    return found


def write_format(keys: Keys) -> Call[None]:
    """Store the number of the data format, unless one is stored already."""
    return command("SET", keys.format, FORMAT, "NX", read=nothing)


def read_format(keys: Keys) -> Call[bytes]:
    """Read the number of the data format, empty when none is stored; see `check_number`."""
    return command("GET", keys.format, read=_as_it_is, misfit=lambda: b"(not a text)")


async def check_format(keys: Keys) -> None:
    """
    Store the number of the data format if none is stored.

    Raises ServerUnfit for a number that this version does not read.
    """
    is_of_format_1, written = await batch(
        command("EXISTS", f"{keys.namespace}:apphooks", read=bool), read_format(keys)
    )
    if is_of_format_1:
        written = b"1"
    elif not written:
        _, written = await batch(write_format(keys), read_format(keys))
    check_number(written, keys)


def check_number(written: bytes, keys: Keys) -> None:
    """Raise ServerUnfit when *written*, the number of a data format, is not the one we read."""
    if written == b"%d" % FORMAT:
        return
    if written.isdigit() and 0 < int(written) < FORMAT:
        msg = (
            f"an earlier stepflow has worked here: the name space {keys.namespace!r} is of data "
            f"format {int(written)}, this version reads {FORMAT}; let the earlier version finish "
            "its runs, then point this one to another Redis or name space"
        )
        raise ServerUnfit(msg)
    if written.isdigit() and int(written) > FORMAT:
        msg = (
            f"a later stepflow has worked here: {keys.format} says data format {int(written)}, "
            f"this version reads {FORMAT}; upgrade stepflow here, or point it to another Redis or "
            "name space"
        )
        raise ServerUnfit(msg)
    msg = (
        f"{keys.format} is {written[:60]!r}, which is no number of a data format (this version "
        f"writes {FORMAT}); find out what else writes under this namespace, then correct or delete "
        "that key"
    )
    raise ServerUnfit(msg)


def _as_it_is(reply: bytes | None) -> bytes:
    return reply or b""

"""
The rights a Redis user needs, by what it does.

A worker, a client (submits, cancels, signals, waits), a viewer (looks).

Read from the scripts themselves; docs/running.md shows the lines, and
tests/engine/test_rights.py holds both together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from stepflow.store import scripts
from stepflow.store.calls import Call, Part
from stepflow.store.keys import Keys
from stepflow.store.scripts import Script

#: how scripts call a command: as it is, or through `soft` of lib/total.lua
_CALLED = re.compile(r"(?:redis\.p?call|soft)\('(\w+)'")


@dataclass(frozen=True)
class Role:
    """
    What somebody does on a Redis.

    The scripts it calls, the commands it gives besides, the channels it uses.
    """

    name: str
    scripts: Sequence[Script]
    plain: Sequence[str]
    channels: Sequence[str] = ()

    @cached_property
    def commands(self) -> list[str]:
        """All commands, as ACL rules name them."""
        called = {word.lower() for script in self.scripts for word in _CALLED.findall(script.text)}
        return sorted(called | set(self.plain) | ({"evalsha"} if self.scripts else set()))

    def rules(self, keys: Keys) -> list[str]:
        """Give the ACL rules that grant all of it."""
        return [
            *self.key_rules(keys),
            *self.channel_rules(keys),
            *(f"+{command}" for command in self.commands),
        ]

    def key_rules(self, keys: Keys) -> list[str]:
        """Give the rules for keys: ours and RQ's."""
        return [f"~{keys.namespace}:*", "~rq:*"]

    def channel_rules(self, keys: Keys) -> list[str]:
        """Give the rules for channels."""
        return [f"&{channel.format(ns=keys.namespace)}*" for channel in self.channels]


#: what reads runs, queues, workers, hooks
_LOOKING = (
    "client|setname", "get", "hget", "hgetall", "hlen", "hmget", "info", "lindex", "llen", "lpos",
    "lrange", "ping", "scard", "script|load", "select", "smembers", "sscan", "time", "xrange",
    "xrevrange", "zcard", "zrange", "zrank", "zrevrangebyscore", "zscan", "zscore",
)  # fmt: skip

VIEWER = Role("viewer", (), _LOOKING)
CLIENT = Role(
    "client",
    (
        scripts.SUBMIT_RUN, scripts.PUT_OFF, scripts.FINISH_RUN, scripts.HAND_OVER,
        scripts.PARK_RUN, scripts.MARK_RUN, scripts.RETRY_RUN, scripts.DELETE_RUN,
        scripts.SEND_SIGNAL, scripts.ANSWER_QUESTION, scripts.REQUEUE_HOOK, scripts.INSPECT_RUNS,
        scripts.MEND_INDEX, scripts.MEND_TTL, scripts.TELL_GONE, scripts.START_BULK,
        scripts.ADVANCE_BULK, scripts.ASK_WORKER, scripts.WRITE_SCHEDULE, scripts.DELETE_SCHEDULE,
        scripts.WRITE_SLICE, scripts.SUBMIT_MEMBER, scripts.ADVANCE_GROUP, scripts.MEND_MEMBER,
        scripts.FORGET_GROUP, scripts.RECOUNT_GROUP, scripts.SET_BREAKER, scripts.DROP_SHARED,
        scripts.SET_BUDGET,
    ),
    (
        *_LOOKING, "hdel", "hset", "hsetnx", "lrem", "publish", "rpush", "subscribe", "unsubscribe",
        "zrem", "zremrangebyscore",
    ),
    ("{ns}:",),
)  # fmt: skip
WORKER = Role(
    "worker",
    scripts.all_scripts(),
    (
        *CLIENT.plain, "blpop", "del", "exec", "expire", "hset", "info", "lpos", "multi",
        "scard", "set", "srem", "sscan", "zadd",
    ),
    ("{ns}:", "rq:pubsub:"),
)  # fmt: skip


async def missing_rights(role: Role, keys: Keys) -> list[str]:
    """
    Give the ACL rules that the connected user lacks to be *role*.

    None where the server cannot say.
    """
    lacking: list[str] = []
    for rules, commands in (
        (role.key_rules(keys), [command for command in role.commands if not _talks(command)]),
        (role.channel_rules(keys), [command for command in role.commands if _talks(command)]),
    ):
        asked = [(command, rule) for command in commands for rule in rules]
        allowed = await ask_rights([_written(command, f"{rule[1:-1]}@") for command, rule in asked])
        if not allowed:
            continue
        granted = [pair for pair, is_allowed in zip(asked, allowed, strict=True) if is_allowed]
        reached, known = (
            {rule for command, rule in granted if _names(command)},
            {command for command, _ in granted},
        )
        lacking += [rule for rule in rules if rule not in reached]
        # else no command that names a place is allowed anywhere, which says nothing of the commands
        if reached:
            lacking += [f"+{command}" for command in commands if command not in known]
    return lacking


def ask_rights(commands: Sequence[Sequence[str]]) -> Call[list[bool]]:
    """Ask which of these commands the connected user may give; none of them is carried out."""
    counted: list[Part] = []
    for command in commands:
        counted += (len(command), *command)
    return scripts.CHECK_RIGHTS.call(
        lambda reply: [bool(item) for item in reply], keys={}, lists={"commands": counted}
    )


def _talks(command: str) -> bool:
    return command in ("publish", "subscribe", "unsubscribe")


def _names(command: str) -> bool:
    """Say whether a command names a key or a channel, so that its right says which."""
    return "|" not in command and command not in _NAMELESS


_NAMELESS = ("exec", "evalsha", "info", "multi", "ping", "select", "time", "unsubscribe")


def _written(command: str, place: str) -> list[str]:
    """Write a command whole enough for the server to find its keys and channels."""
    if not _names(command):
        return (
            [*command.split("|"), "0", "0"] if command == "evalsha" else [*command.split("|"), "0"]
        )
    match command:
        case "copy":
            return [command, place, place]
        case "blpop":
            return [command, place, "0"]
    return [command, place]

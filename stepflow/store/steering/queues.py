"""Calls that pause queues: a hash names those that are, and is gone when none is."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

from stepflow.store.calls import Call, command, flat_map, nothing
from stepflow.store.channel import ChannelMessage
from stepflow.store.keys import Keys
from stepflow.store.run_hash import LATEST_S, Fields


class PausedQueue(NamedTuple):
    """A queue, as RQ names it without a priority, and who paused it, why, and when."""

    name: str
    by: str = ""
    reason: str = ""
    #: unix seconds, 0 where it cannot be read
    at: float = 0.0


def save_queue_pause(keys: Keys, paused: PausedQueue) -> Call[bool]:
    """Write that a queue is paused; False when it was, which stays as it is."""
    written = f"{paused.at:.6f}|{quote(paused.by, safe='@. ')}|{paused.reason}"
    return command("HSETNX", keys.paused_queues, paused.name, written, read=bool)


def forget_queue_pause(keys: Keys, name: str) -> Call[bool]:
    """Write that a queue is paused no more; False when it was not."""
    return command("HDEL", keys.paused_queues, name, read=bool, misfit=bool)


def load_paused_queues(keys: Keys) -> Call[list[PausedQueue]]:
    """Read which queues are paused."""
    return command(
        "HGETALL", keys.paused_queues,
        read=lambda reply: sorted(_read(*item) for item in flat_map(reply).items()), misfit=list,
    )  # fmt: skip


def load_queue_pause(keys: Keys, name: str) -> Call[PausedQueue | None]:
    """Read who paused a queue; None when it is not paused."""
    return command(
        "HGET", keys.paused_queues, name,
        read=lambda reply: None if reply is None else _read(name.encode(), reply),
        misfit=lambda: None,
    )  # fmt: skip


def _read(name: bytes, written: bytes) -> PausedQueue:
    at, _, rest = written.partition(b"|")
    by, _, reason = rest.decode("utf-8", "backslashreplace").partition("|")
    moment = Fields({b"at": at}).time(b"at")
    return PausedQueue(
        name.decode("utf-8", "backslashreplace"), unquote(by), reason, min(moment, LATEST_S)
    )


def wake_queue(keys: Keys, queue: str) -> Call[None]:
    """Wake an idle worker of a queue; a token too many costs it one look."""
    return command("RPUSH", keys.wake_of(queue), "1", read=nothing, misfit=lambda: None)


def tell_of_pause(keys: Keys, worker: str, name: str) -> Call[None]:
    """Tell a worker that a queue is paused; one that is not told learns of it within a second."""
    message = ChannelMessage.of_queue(name).write()
    return command("PUBLISH", keys.tell_channel(worker), message, read=nothing)

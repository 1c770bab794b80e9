"""Calls by which a worker is asked what it is doing for a run, and answers."""

from __future__ import annotations

from stepflow.store import scripts
from stepflow.store.calls import Call, command, nothing, raw
from stepflow.store.channel import ChannelMessage
from stepflow.store.keys import Keys

#: milliseconds that a question and its answer are kept
KEPT_MS = 10_000
#: questions that a worker takes at once
_TAKEN = 50


def ask_worker(keys: Keys, worker: str, run_id: str, ask_id: str) -> Call[None]:
    """Ask a worker what it is doing for a run; it answers under *ask_id*."""
    message = ChannelMessage(run_id, ask=ask_id).write()
    return scripts.ASK_WORKER.call(
        nothing,
        keys={"asked": keys.asked(worker)},
        args={"channel": keys.tell_channel(worker), "message": message, "ttl_ms": KEPT_MS},
    )


def take_asks(keys: Keys, worker: str) -> Call[list[ChannelMessage]]:
    """Take what a worker is asked; some of it may be answered already."""
    return command("LPOP", keys.asked(worker), _TAKEN, read=_messages, resend=False, misfit=list)


def _messages(reply: list[bytes] | None) -> list[ChannelMessage]:
    found = []
    for message in reply or ():
        try:
            found.append(ChannelMessage.read(message.decode()))
        except ValueError:  # nothing of ours
            continue
    return found


def save_answer(keys: Keys, ask_id: str, packed: bytes) -> Call[None]:
    """Answer."""
    return command("SET", keys.now(ask_id), packed, "PX", KEPT_MS, read=nothing)


def load_answer(keys: Keys, ask_id: str) -> Call[bytes | None]:
    """Read the answer; None while there is none."""
    return command("GET", keys.now(ask_id), read=raw, misfit=lambda: None)

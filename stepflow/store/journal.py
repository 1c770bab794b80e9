"""
Calls for what a run remembers within a step, and for what others send it.

Its journal and its mailbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepflow.core.ids import run_member
from stepflow.core.run import Cleanup, Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, command, raw
from stepflow.store.channel import ChannelMessage
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time, rq_time

#: signals that a run's mailbox holds at most
MAILBOX = 1000
#: signals whose answers a run remembers, so that one sent again is answered as before
SENT = 10_000
#: bytes: a longer item is kept beside the mailbox, which is searched by name
LONG = 512


def load_journal(keys: Keys, run_id: str) -> Call[list[bytes]]:
    """Read the run's journal, entry by entry."""
    return command("LRANGE", f"{keys.run(run_id)}:journal", 0, -1, read=raw)


def add_entry(
    keys: Keys, run_id: str, token: str, index: int, entry: bytes, cleanup: Cleanup | None = None
) -> Call[int]:
    """
    Add entry *index* under the claim: 1 written, 0 the claim is not the caller's any more.

    *cleanup* is what the run has left to do from now on before a stop ends it; None when the entry
    changes nothing there.
    """
    base = keys.run(run_id)
    return Call(
        scripts.ADD_ENTRY,
        (base, base + ":journal"),
        (token, index, entry, "" if cleanup is None else int(cleanup)),
        raw,
    )


def load_expected(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read what the signals must look like that the run waited for when it parked last, packed."""
    return command("HGET", f"{keys.run(run_id)}:data", "expects", read=raw, misfit=lambda: None)


def load_sent(keys: Keys, run_id: str, signal_id: str) -> Call[bytes | None]:
    """Read how a signal was answered that was sent before; None when it was not."""
    return command("HGET", f"{keys.run(run_id)}:sent", signal_id, read=raw, misfit=lambda: None)


def take_signal(
    keys: Keys, run_id: str, token: str, index: int, head: bytes, names: Sequence[str]
) -> Call[Any]:
    """
    Take the first signal of *names* and remember it as entry *index*: [inbox, item], [inbox], or []
    when refused.
    """
    base = keys.run(run_id)
    return Call(
        scripts.TAKE_SIGNAL,
        (base, f"{base}:journal", f"{base}:mail", f"{base}:sent"),
        (token, index, head, *names),
        raw,
    )


def send_signal(
    keys: Keys, run: Run, signal_id: str, item: bytes, *, now: float, most_bytes: int
) -> Call[str]:
    """
    Put a signal into the mailbox of *run*, which holds *most_bytes*.

    Gives 'delivered', 'buffered', 'full', 'heavy' (with bytes), 'ended', 'unknown' or 'moved': look
    again.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    return Call(
        scripts.SEND_SIGNAL,
        (
            base, f"{base}:mail", f"{base}:sent", keys.rq_job(run.delivery), keys.rq_list(queue),
            keys.queued_at(queue), keys.wake_of(run.queue), keys.due, keys.rq_scheduled(queue),
        ),
        (
            signal_id, item, MAILBOX, run_member(run.id), format_time(now), rq_time(now),
            keys.namespace, queue, RunState.PENDING, keys.tell_channel(""), ChannelMessage(run.id).write(),
            most_bytes, SENT, LONG,
        ),
        lambda reply: str(reply.decode()),
    )  # fmt: skip

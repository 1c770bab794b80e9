"""
Calls for what a run remembers within a step, and for what others send it.

Its journal and its mailbox.
"""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.run import Cleanup, Run
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, raw
from stepflow.store.keys import Keys
from stepflow.store.runs.submit import Full, read_bounded, submission
from stepflow.store.wake import wake

#: signals that a run's mailbox holds at most
MAILBOX = 1000
#: signals whose answers a run remembers, so that one sent again is answered as before
SENT = 10_000
#: bytes: a longer item is kept beside the mailbox, which is searched by name
LONG = 512
#: the answer to a signal that has started its run
STARTED = "started"


def load_journal(keys: Keys, run_id: str) -> Call[list[bytes]]:
    """Read the run's journal, entry by entry."""
    return command("LRANGE", f"{keys.run(run_id)}:journal", 0, -1, read=raw)


def look_at_journal(keys: Keys, run_id: str) -> Call[list[bytes]]:
    """Read the run's journal for people: words in place of one that something else wrote over."""
    words = b"its journal's key holds no list: something else wrote it"
    return command("LRANGE", f"{keys.run(run_id)}:journal", 0, -1, read=raw, misfit=lambda: [words])


def count_journal(keys: Keys, run_id: str) -> Call[int]:
    """Count the entries of a run's journal."""
    return command("LLEN", f"{keys.run(run_id)}:journal", read=int, misfit=int)


def load_last_entry(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read the last entry of a run's journal; None when there is none."""
    return command("LINDEX", f"{keys.run(run_id)}:journal", -1, read=raw, misfit=lambda: None)


def load_mail(keys: Keys, run_id: str, limit: int) -> Call[list[bytes]]:
    """Read the first signals of a mailbox; `lua/lib/mailbox.lua` says what one looks like."""
    return command("LRANGE", f"{keys.run(run_id)}:mail", 0, limit - 1, read=raw, misfit=list)


def load_long_mail(keys: Keys, run_id: str, ids: Sequence[str]) -> Call[list[bytes | None]]:
    """Read the payloads that are kept beside the mailbox, by the ids of their signals."""
    return command(
        "HMGET", f"{keys.run(run_id)}:sent", *(f"={each}" for each in ids),
        read=raw, misfit=lambda: [None] * len(ids),
    )  # fmt: skip


def add_entry(
    keys: Keys, run_id: str, token: str, index: int, entry: bytes, cleanup: Cleanup | None = None
) -> Call[int]:
    """
    Add entry *index* under the claim: 1 written, 0 the claim is not the caller's any more.

    *cleanup* is what the run has left to do from now on before a stop ends it; None when the entry
    changes nothing there.
    """
    base = keys.run(run_id)
    return scripts.ADD_ENTRY.call(
        raw,
        keys={"run": base, "journal": base + ":journal"},
        args={
            "token": token,
            "index": index,
            "entry": entry,
            "cleanup": "" if cleanup is None else int(cleanup),
        },
    )


def load_expected(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read what the signals must look like that the run waited for when it parked last, packed."""
    return command("HGET", f"{keys.run(run_id)}:data", "expects", read=raw, misfit=lambda: None)


def load_sent(keys: Keys, run_id: str, signal_id: str) -> Call[bytes | None]:
    """Read how a signal was answered that was sent before; None when it was not."""
    return command("HGET", f"{keys.run(run_id)}:sent", signal_id, read=raw, misfit=lambda: None)


def take_signal(
    keys: Keys, run_id: str, token: str, index: int, head: bytes, names: Sequence[str]
) -> Call[list[int | bytes]]:
    """
    Take the first signal of *names* and remember it as entry *index*.

    Gives [inbox, item], [inbox] when there is none, or [] when refused.
    """
    base = keys.run(run_id)
    return scripts.TAKE_SIGNAL.call(
        raw,
        keys={
            "run": base,
            "journal": f"{base}:journal",
            "mail": f"{base}:mail",
            "sent": f"{base}:sent",
        },
        args={"token": token, "index": index, "head": head},
        lists={"names": names},
    )


def send_signal(
    keys: Keys,
    run: Run,
    signal_id: str,
    item: bytes,
    *,
    now: float,
    most_bytes: int,
    replaces: bytes = b"",
) -> Call[str]:
    """
    Put a signal into the mailbox of *run*, which holds *most_bytes*.

    It takes the place of those that begin with *replaces*, of none where that is empty.
    Gives 'delivered', 'buffered', 'full', 'heavy' (with bytes), 'ended', 'unknown' or 'moved': look
    again.
    """
    base, delivery = keys.run(run.id), wake(keys, run, now)
    return scripts.SEND_SIGNAL.call(
        lambda reply: str(reply.decode()),
        keys={"mail": f"{base}:mail", "sent": f"{base}:sent", **delivery.keys},
        args={
            "signal_id": signal_id,
            "item": item,
            "replaces": replaces,
            "most_items": MAILBOX,
            "most_bytes": most_bytes,
            "most_ids": SENT,
            "long_bytes": LONG,
            **delivery.args,
        },
    )


#: what `submit_run` is told of a key that runs share; a run that a signal starts has none
_ONCE = frozenset({"once", "ousted", "waits"})


def signal_start(
    keys: Keys,
    run: Run,
    signal_id: str,
    item: bytes,
    *,
    request: str,
    data: Sequence[Part],
    tags: Sequence[str] = (),
    replaces: Run | None = None,
) -> Call[dict[bytes, bytes] | Full | None]:
    """
    Make *run* as `submit_run` does, with a signal in its mailbox.

    Gives None when it was made, Full as that does, else the hash of the run that is there.
    """
    made = submission(
        keys, run, request=request, data=data, tags=tags, replaces=replaces, is_bounded=True
    )
    base = keys.run(run.id)
    return scripts.SIGNAL_START.call(
        read_bounded,
        keys={**made.keys, "mail": f"{base}:mail", "sent": f"{base}:sent"},
        args={
            **{name: each for name, each in made.args.items() if name not in _ONCE},
            "signal_id": signal_id, "item": item, "answer": STARTED, "most_ids": SENT,
            "long_bytes": LONG,
        },
        lists={name: made.lists[name] for name in ("fields", "data")},
        key_lists={name: made.key_lists[name] for name in ("tag", "level", "replaced")},
    )  # fmt: skip

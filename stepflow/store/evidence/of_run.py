"""Calls that only look: where a run stands in the indexes, and what stands around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from stepflow.core.ids import run_member
from stepflow.store.calls import Call, OptionalCall, command, load_hash, raw
from stepflow.store.connection.server_check import server_info
from stepflow.store.family_update import children_keys
from stepflow.store.keys import RQ_SUSPENDED, Keys

T = TypeVar("T")

#: entries of a queue that a search for a delivery goes through: that far it costs little
NEAR = 10_000
#: signals of a mailbox that are looked at
_MAIL = 200


def info_if_allowed() -> Call[dict[str, str]]:
    """Read INFO; empty where the server has none, or the user may not ask for it."""
    asked = server_info()
    return OptionalCall(None, asked.parts, asked.read, misfit=dict)


def _score(reply: Any) -> float | None:
    return None if reply is None else float(reply)


def score_of(index: str, member: str) -> Call[float | None]:
    """Read the score of a member of an index; None when it does not stand there."""
    return command("ZSCORE", index, member, read=_score, misfit=lambda: None)


def rank_of(index: str, member: str) -> Call[int | None]:
    """Read the place of a member of an index, from 0; None when it does not stand there."""
    return command(
        "ZRANK", index, member,
        read=lambda reply: None if reply is None else int(reply), misfit=lambda: None,
    )  # fmt: skip


def lease_of(keys: Keys, run_id: str) -> Call[float | None]:
    """Read when the lease of a run's claim ends, in unix seconds; None without a claim."""
    return score_of(keys.claims, run_member(run_id))


def due_of(keys: Keys, run_id: str) -> Call[float | None]:
    """Read when the due set moves a run, in unix seconds; None when it does not stand there."""
    return score_of(keys.due, run_member(run_id))


def position_of(key: str, rq_id: str, *, most: int = NEAR) -> Call[int | None]:
    """
    Look for a delivery in a list; gives its position from 0, None when it is not found.

    Only the first *most* entries are looked at; 0 goes through all of them.
    """
    return command(
        "LPOS", key, rq_id, "MAXLEN", most,
        read=lambda reply: None if reply is None else int(reply), misfit=lambda: None,
    )  # fmt: skip


def is_suspended() -> Call[bool]:
    """Say whether somebody has suspended all of RQ's workers (`rq suspend`)."""
    return command("GET", RQ_SUSPENDED, read=lambda reply: reply is not None, misfit=lambda: True)


def started_at(rq_id: str) -> Call[bytes | None]:
    """Read when the claim of a delivery began, as RQ writes times."""
    return command("HGET", Keys.rq_job(rq_id), "started_at", read=raw, misfit=lambda: None)


def glance(keys: Keys, run_id: str) -> Call[list[bytes | None]]:
    """Read the fields of a run's record that change when it moves: two looks can be compared."""
    fields = ("state", "delivery", "token", "ended", "stop", "parked")
    return command(
        "HMGET", keys.run(run_id), *fields, read=raw, misfit=lambda: [None] * len(fields)
    )


def rev_of(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read the rev of a run as its record has it."""
    return command("HGET", keys.run(run_id), "rev", read=raw, misfit=lambda: None)


def mail_of(keys: Keys, run_id: str) -> Call[list[bytes]]:
    """Read the first signals that a run has not taken, each with its name before a `|`."""
    return command("LRANGE", f"{keys.run(run_id)}:mail", 0, _MAIL - 1, read=raw, misfit=list)


def replies_of(keys: Keys, run_id: str, digests: Sequence[str]) -> Call[list[bytes | None]]:
    """Read what became of questions of a run; None for each that is open."""
    return command(
        "HMGET", f"{keys.run(run_id)}:replies", *digests, read=raw,
        misfit=lambda: [None] * len(digests),
    )  # fmt: skip


def child_count(keys: Keys, run_id: str, generation: int) -> Call[int]:
    """Count the live children that end with a run."""
    return command("SCARD", children_keys(keys, run_id, generation)[0], read=int, misfit=int)


def ends_of(
    keys: Keys, run_id: str, generation: int, names: Sequence[str]
) -> Call[list[bytes | None]]:
    """Read how children (by run id) and maps of a run ended; None for each that has not."""
    key = children_keys(keys, run_id, generation)[1]
    return command("HMGET", key, *names, read=raw, misfit=lambda: [None] * len(names))


def maps_of(keys: Keys, run_id: str, generation: int) -> Call[dict[bytes, bytes]]:
    """Read the counters of a run's maps that are not settled."""
    return load_hash(children_keys(keys, run_id, generation)[2])


def exists(key: str) -> Call[bool]:
    """Say whether a run's record is there, whatever it holds."""
    return command("HGET", key, "rev", read=lambda reply: reply is not None, misfit=lambda: True)

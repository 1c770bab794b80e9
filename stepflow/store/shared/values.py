"""Calls that read, compute and drop shared values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepflow.core.ids import run_member
from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, flat_map
from stepflow.store.keys import Keys
from stepflow.store.run_hash import Fields, rq_time

#: values of one name that are kept at most; those that expire first go
MOST_VALUES = 10_000
#: seconds after which those that wait look for themselves, should nobody have woken them, and how
#: far apart they do
GRACE_S, GAP_S = 30.0, 0.1
#: seconds that the record of a value is kept that nobody has computed yet
CLAIM_S = 86_400


class Computing(NamedTuple):
    """Another run computes the value: when (unix seconds) to ask again."""

    again_at: float
    #: how much was ever put into the run's inbox
    inbox: int


class SharedRecord(NamedTuple):
    """A value as it is listed; times are unix seconds."""

    digest: str
    label: str
    run_id: str
    at: float
    until: float
    size: int


def waits_for(name: str) -> str:
    """Say in a run's record that it waits for a value."""
    return f"shared {name}"[:60]


def _base(keys: Keys, name: str, digest: str) -> str:
    return f"{keys.shared_values(name)}:{digest}"


def waiting_key(keys: Keys, name: str, digest: str) -> str:
    """Name the set of the runs that wait for a value."""
    return f"{_base(keys, name, digest)}:waiting"


def _waking(keys: Keys, name: str, now: float) -> dict[str, Part]:
    return {
        "ns": keys.namespace, "rq_time": rq_time(now), "pending": RunState.PENDING,
        "channels": keys.tell_channel(""), "waits_for": waits_for(name),
    }  # fmt: skip


def claim_shared(
    keys: Keys, name: str, digest: str, run: Run, token: str, claim: str, *, given: str, now: float
) -> Call[bytes | Computing | None]:
    """Ask for a value: its packed form, who computes it, or None for whoever is to compute it."""

    def read(reply: Any) -> bytes | Computing | None:
        if reply[0] == 1:
            return bytes(reply[1])
        return None if reply[0] else Computing(float(reply[1]), int(reply[2]))

    base = _base(keys, name, digest)
    return scripts.CLAIM_SHARED.call(
        read,
        keys={
            "value": base, "waiting": f"{base}:waiting", "run": keys.run(run.id),
            "claims": keys.claims, "due": keys.due,
        },
        args={
            **_waking(keys, name, now), "given": given, "claim": claim,
            "member": run_member(run.id), "token": token, "grace_s": GRACE_S, "gap_s": GAP_S,
            "ttl": CLAIM_S,
        },
    )  # fmt: skip


def settle_shared(
    keys: Keys,
    name: str,
    digest: str,
    claim: str,
    packed: bytes,
    *,
    label: str = "",
    run_id: str = "",
    lasts_s: float = 0.0,
    given: str,
    now: float,
) -> Call[bool]:
    """
    Write a value, or with b"" give back the right to compute it.

    False when *claim* is not the one that stands; "" writes whatever there is.
    """
    base = _base(keys, name, digest)
    return scripts.SETTLE_SHARED.call(
        bool,
        keys={
            "value": base, "waiting": f"{base}:waiting", "index": keys.shared_values(name),
            "names": keys.shared, "due": keys.due,
        },
        args={
            **_waking(keys, name, now), "given": given, "name": name, "digest": digest,
            "claim": claim, "packed": packed, "label": label, "run_id": run_id,
            "lasts_s": lasts_s, "most": MOST_VALUES, "start": f"{keys.shared_values(name)}:",
        },
    )  # fmt: skip


def load_shared(keys: Keys, name: str, digest: str) -> Call[tuple[bytes, float] | None]:
    """Read a value and until when it holds; None when there is none."""
    return command(
        "HMGET", _base(keys, name, digest), "value", "until",
        read=lambda reply: None if reply[0] is None else (reply[0], float(reply[1] or 0)),
        misfit=lambda: None,
    )  # fmt: skip


def drop_shared(keys: Keys, name: str, digests: Sequence[str]) -> Call[int]:
    """Drop values; gives how many there were."""
    return scripts.DROP_SHARED.call(
        int,
        keys={"index": keys.shared_values(name), "names": keys.shared},
        args={"name": name, "start": f"{keys.shared_values(name)}:"},
        lists={"digests": digests},
    )


def members_from(key: str, first: int, count: int) -> Call[list[str]]:
    """Read some members of a sorted set, those first that expire last."""
    return command(
        "ZRANGE", key, first, first + count - 1, "REV",
        read=lambda reply: [item.decode("utf-8", "backslashreplace") for item in reply],
        misfit=list,
    )  # fmt: skip


def load_record(keys: Keys, name: str, digest: str) -> Call[SharedRecord | None]:
    """Read what is known of a value; None when there is none."""

    def read(reply: Any) -> SharedRecord | None:
        row = flat_map(reply)
        if b"value" not in row:
            return None
        fields = Fields(row)
        return SharedRecord(
            digest, fields.text(b"label"), fields.text(b"run"), fields.time(b"at"),
            fields.time(b"until"), len(row[b"value"]),
        )  # fmt: skip

    return command("HGETALL", _base(keys, name, digest), read=read, misfit=lambda: None)

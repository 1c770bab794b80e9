"""Calls that add to the counts, and read them."""

from __future__ import annotations

from collections.abc import Mapping

from stepflow.core.counts import MOST_RUNNERS, OTHER
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, load_hash
from stepflow.store.keys import Keys

MINUTE_S, HOUR_S = 60, 3600
#: seconds that the counts of a minute, and of an hour, are kept
MINUTES_KEPT_S, HOURS_KEPT_S = 6 * HOUR_S, 7 * 24 * HOUR_S
#: fields of a minute from which on errors are no longer told apart
_MOST_FAILING = 5_000


def add_counts(
    keys: Keys, counts: Mapping[str, int], *, sender: str, number: int, now: float
) -> Call[int]:
    """
    Add what *sender* has counted to the minute and the hour of *now*, and to the totals.

    *number* must be another one for each call of the sender: a call that arrives twice counts once.
    """
    flat: list[Part] = [part for pair in counts.items() for part in pair]
    return scripts.ADD_COUNTS.call(
        int,
        keys={
            "tray": keys.new_counts, "totals": keys.totals, "runners": keys.counted_runners,
            "minute": keys.minute(now), "hour": keys.hour(now),
        },
        args={
            "sender": sender, "number": number, "most_runners": MOST_RUNNERS, "other": OTHER,
            "most_failing": _MOST_FAILING, "minute_ttl_s": MINUTES_KEPT_S,
            "hour_ttl_s": HOURS_KEPT_S,
        },
        lists={"counts": flat},
    )  # fmt: skip


def load_counts(key: str) -> Call[dict[bytes, bytes]]:
    """Read a hash of counts."""
    return load_hash(key)

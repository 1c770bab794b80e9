"""The verdict on one try to deliver a hook: hooks/ reaches it, the worker acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class VerdictKind(StrEnum):
    """
    What to do next: finish, try again by the schedule, give up, or ask again later.

    BUSY counts as no try.
    """

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The end of one try; make one with the named constructors.

    *why* is for people and holds no secret. *status* is the receiver's HTTP status, None without
    an answer. *after_s* is, for a retry, the wait that the receiver asked for, if it did; for busy,
    when to ask again.
    """

    kind: VerdictKind
    why: str
    status: int | None = None
    after_s: float | None = None
    #: of what a function of the app raised, for the log
    trace: str = ""

    @classmethod
    def delivered(cls, status: int | None = None) -> Verdict:
        """Make the verdict that the receiver has accepted the hook."""
        return cls(VerdictKind.DELIVERED, "" if status is None else f"answered {status}", status)

    @classmethod
    def retry(
        cls,
        why: str,
        after_s: float | None = None,
        *,
        status: int | None = None,
        trace: str = "",
    ) -> Verdict:
        """Try again by the schedule, in *after_s* seconds at the earliest."""
        return cls(VerdictKind.RETRY, why, status, after_s, trace)

    @classmethod
    def dead(cls, why: str, *, status: int | None = None) -> Verdict:
        """Give up: no further try can help."""
        return cls(VerdictKind.DEAD, why, status)

    @classmethod
    def busy(
        cls, after_s: float, why: str = "as many deliveries as it may have are in progress there"
    ) -> Verdict:
        """
        Ask again in *after_s* seconds; nothing was sent, so no try counts.

        The receiver has its share of deliveries in progress already, or what *why* says.
        """
        return cls(VerdictKind.BUSY, why, None, after_s)

"""What became of one try to deliver a hook: the hook room says it, the engine acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class VerdictKind(StrEnum):
    """
    What the engine is to do.

    Finish, try again by the schedule, give up, ask again without counting a try.
    """

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The end of one try; made by its named constructors.

    *why* is for people and holds no secret. *status* is the receiver's answer, None without one.
    *after_s*: for a retry what the receiver asked for, if it did; for busy when to ask again.
    """

    kind: VerdictKind
    why: str
    status: int | None = None
    after_s: float | None = None

    @classmethod
    def delivered(cls, status: int | None = None) -> Verdict:
        """Say that the receiver took it."""
        return cls(VerdictKind.DELIVERED, "" if status is None else f"answered {status}", status)

    @classmethod
    def retry(cls, why: str, after_s: float | None = None, *, status: int | None = None) -> Verdict:
        """Say not now: try again by the schedule, *after_s* at the earliest."""
        return cls(VerdictKind.RETRY, why, status, after_s)

    @classmethod
    def dead(cls, why: str, *, status: int | None = None) -> Verdict:
        """Say never: no further try helps."""
        return cls(VerdictKind.DEAD, why, status)

    @classmethod
    def busy(cls, after_s: float) -> Verdict:
        """
        Say that nothing was sent and no try counts.

        The receiver has its share of deliveries in progress already.
        """
        return cls(
            VerdictKind.BUSY,
            "as many deliveries as it may have are in progress there",
            None,
            after_s,
        )

"""What the answer of a receiver means."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from stepflow.core.verdict import Verdict, VerdictKind

__all__ = ["LONGEST_WAIT_S", "Verdict", "VerdictKind", "judge", "read_retry_after"]

#: seconds; no receiver may put a delivery off for longer
LONGEST_WAIT_S = 86_400.0
#: answers below 500 that say "not now": timeout, too early, too many
_NOT_NOW = (408, 425, 429)


def judge(status: int, retry_after: str | None, now: datetime) -> Verdict:
    """Return the verdict on an answer; *retry_after* is the header of that name, *now* aware."""
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own classes of answers
        return Verdict.delivered(status)
    if status in _NOT_NOW or 500 <= status < 600:  # noqa: PLR2004
        return Verdict.retry(
            f"answered {status}", read_retry_after(retry_after, now), status=status
        )
    if 300 <= status < 400:  # noqa: PLR2004
        return Verdict.dead(
            f"answered {status}, a redirect; none is followed, register where it leads",
            status=status,
        )
    if status == 410:  # noqa: PLR2004
        return Verdict.dead(
            "answered 410: the receiver is gone for good, stop sending to it", status=status
        )
    return Verdict.dead(f"answered {status}; the same again would be refused again", status=status)


def read_retry_after(text: str | None, now: datetime) -> float | None:
    """
    Read a Retry-After header (seconds or an HTTP date) as seconds from *now*, at most a day.

    None without one, or for one that cannot be read.
    """
    if not text:
        return None
    if digits := re.fullmatch(r"\s*0*([0-9]+)(?:\.[0-9]*)?\s*", text):
        return min(float(digits[1][:10]), LONGEST_WAIT_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), LONGEST_WAIT_S)

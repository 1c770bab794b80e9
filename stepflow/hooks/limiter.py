"""
How many deliveries are in progress to one receiver, so that a dead one keeps few slots busy.

An origin is a host and port. It may have `per_origin` deliveries in progress. After a try that it
did not answer it may have one, until it answers again; any answer counts, for what is refused at
once keeps no slot. A delivery that does not fit is told when to ask again. These moments are dealt
out one after another, about as far apart as room is made: the time a try takes there, divided by
the limit. The time a try takes is the mean of those seen, or the age of the oldest in progress
where that is more, so an origin that has stopped answering is asked ever more rarely. With 1,000
deliveries due at 50 dead origins of 15 s, each waiting delivery asks some six times before the
first tries end, then about once a minute; 1,000 deliveries to one live origin keep it as busy as
its share allows (`tests/hooks/test_limiter.py` plays both).
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: seconds a delivery is put off at least: enough that asking again is cheap
SHORTEST_WAIT_S = 0.25
#: seconds it is put off at most: how late deliveries to an origin that has come back may be
LONGEST_WAIT_S = 60.0
#: seconds that a try is taken to last before one has been seen
_FIRST_GUESS_S = 0.05
#: moments dealt out for each time that an answering origin is likely to have room: better to ask
#: in vain than to leave it idle
_OVERBOOKED = 2
#: origins remembered while nothing is in progress there
_MOST_ORIGINS = 4096


@dataclass(slots=True)
class _Origin:
    #: when each delivery in progress came in, oldest first
    inside: list[float] = field(default_factory=list)
    silent: bool = False
    try_s: float = _FIRST_GUESS_S
    #: the last moment dealt out
    dealt_at: float = 0.0


class HostLimiter:
    """Limits the deliveries in progress by origin; moments are seconds of a monotonic clock."""

    def __init__(self, per_origin: int) -> None:
        self._per_origin = per_origin
        self._origins: dict[str, _Origin] = {}

    def enter(self, origin: str, now: float) -> float | None:
        """Let one delivery in and return None, or return in how many seconds to ask again."""
        here = self._origins.get(origin) or self._open(origin)
        cap = 1 if here.silent else self._per_origin
        if len(here.inside) < cap:
            here.inside.append(now)
            return None
        gap_s = max(here.try_s, now - here.inside[0]) / (1 if here.silent else cap * _OVERBOOKED)
        next_at = max(here.dealt_at, now) + gap_s
        # dealt out up to the longest wait: begin again at the front
        here.dealt_at = (
            next_at if next_at <= now + LONGEST_WAIT_S else now + min(gap_s, LONGEST_WAIT_S)
        )
        return max(here.dealt_at - now, SHORTEST_WAIT_S)

    def leave(self, origin: str, entered_at: float, now: float, *, answered: bool | None) -> None:
        """
        End the delivery that entered at *entered_at*.

        *answered* says whether the origin did; None when the try never got that far.
        """
        here = self._origins[origin]
        here.inside.remove(entered_at)
        if answered is None:
            return
        here.try_s = (here.try_s + now - entered_at) / 2
        if answered and here.silent:
            here.dealt_at = now
        here.silent = not answered

    def _open(self, origin: str) -> _Origin:
        if len(self._origins) >= _MOST_ORIGINS:
            self._origins = {name: here for name, here in self._origins.items() if here.inside}
        self._origins[origin] = _Origin()
        return self._origins[origin]

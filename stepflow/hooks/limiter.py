"""
How many deliveries are in progress at one place, so that a dead one holds a few slots and a live
one waits for none.

A place is a host and port. It may have `per_place` deliveries in progress; after a try it did not
answer, one, until it answers again (any answer: what is refused at once holds no slot). A delivery
that does not fit is told when to ask again, and the moments are dealt out one after another, about
as far apart as room is made there: the time a try takes there, divided by the cap. The time a try
takes is the mean of those seen, or the age of the oldest in progress where that is more, so a place
that has stopped answering is asked for ever more rarely. With 1,000 deliveries due at 50 dead
places of 15 s each waiting delivery asks some six times before the first tries end, then about once
a minute; 1,000 deliveries to one live place keep it as busy as its share allows
(`tests/hooks/test_gate.py` plays both).
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: seconds a delivery is put off at least: enough that asking again is cheap
SHORTEST_WAIT_S = 0.25
#: seconds it is put off at most: how late the deliveries of a place that has come back may be
LONGEST_WAIT_S = 60.0
#: seconds a try is taken to last where none has been seen
_FIRST_GUESS_S = 0.05
#: moments dealt out for each that a place which answers is likely to have room: better ask in vain
#: than leave it idle
_OVERBOOKED = 2
#: places remembered while nothing is in progress there
_MOST_PLACES = 4096


@dataclass(slots=True)
class _Place:
    #: when each delivery in progress came in, oldest first
    inside: list[float] = field(default_factory=list)
    silent: bool = False
    try_s: float = _FIRST_GUESS_S
    #: the last moment dealt out
    dealt_at: float = 0.0


class HostLimiter:
    """
    Counts the deliveries in progress by place.

    Moments are seconds of one clock that only goes on.
    """

    def __init__(self, per_place: int) -> None:
        self._per_place = per_place
        self._places: dict[str, _Place] = {}

    def enter(self, place: str, now: float) -> float | None:
        """Let one delivery in and answer None, or answer in how many seconds to ask again."""
        here = self._places.get(place) or self._open(place)
        cap = 1 if here.silent else self._per_place
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

    def leave(self, place: str, entered_at: float, now: float, *, heard: bool | None) -> None:
        """
        Let the delivery that came in at *entered_at* out.

        *heard* says whether the place answered; None when that was not tried or not seen to its
        end.
        """
        here = self._places[place]
        here.inside.remove(entered_at)
        if heard is None:
            return
        here.try_s = (here.try_s + now - entered_at) / 2
        if heard and here.silent:
            here.dealt_at = now
        here.silent = not heard

    def _open(self, place: str) -> _Place:
        if len(self._places) >= _MOST_PLACES:
            self._places = {name: here for name, here in self._places.items() if here.inside}
        self._places[place] = _Place()
        return self._places[place]

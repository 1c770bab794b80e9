"""The order of nodes in their ranks, in which few ways cross: the barycenter method."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

N = TypeVar("N")

#: times that all ranks are gone through, there and back
_SWEEPS = 8


def in_order(rows: Sequence[Sequence[N]], links: Sequence[tuple[N, N]]) -> Sequence[Sequence[N]]:
    """
    Put each row in an order in which few links cross.

    *links* lead from one row to the next.
    """
    before, after = defaultdict[N, list[N]](list), defaultdict[N, list[N]](list)
    for here, there in links:
        after[here].append(there)
        before[there].append(here)
    best, fewest = [list(row) for row in rows], crossings(rows, after)
    now = [list(row) for row in best]
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        beside = before if down else after
        numbers = range(1, len(now)) if down else range(len(now) - 2, -1, -1)
        for number in numbers:
            now[number] = _by_neighbours(now[number], now[number + (-1 if down else 1)], beside)
        count = crossings(now, after)
        if count < fewest:
            best, fewest = [list(row) for row in now], count
    return best


def crossings(rows: Sequence[Sequence[N]], after: Mapping[N, Sequence[N]]) -> int:
    """Count the crossings of the links between each row and the next."""
    count = 0
    for row, below in pairwise(rows):
        places = {node: place for place, node in enumerate(below)}
        seen: list[int] = []
        for here in row:
            ends = sorted(places[there] for there in after.get(here, ()))
            count += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _by_neighbours(
    row: Sequence[N], other: Sequence[N], beside: Mapping[N, Sequence[N]]
) -> list[N]:
    """Sort a row by where its neighbours in *other* stand; what has none keeps its place."""
    places = {node: place for place, node in enumerate(other)}

    def weight(place: int, node: N) -> float:
        near = [places[each] for each in beside.get(node, ()) if each in places]
        return sum(near) / len(near) if near else float(place)

    weights = {node: weight(place, node) for place, node in enumerate(row)}
    return sorted(row, key=lambda node: weights[node])

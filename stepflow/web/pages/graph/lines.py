"""Ways as curves: from the side of a box to the side of another, past what stands between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from stepflow.web.pages.graph.ranks import Way

#: pixels between ways at the side of a box at most, how far a loop stands out
_PORT, _LOOP = 10.0, 16.0
#: pixels that the point of an arrow is long
_ARROW = 7.0

Spot = tuple[str, ...]
#: where something begins and ends along the flow
Stretch = tuple[float, float]
#: along the flow, and across it; once turned, x and y
Point = tuple[float, float]


class Rect(NamedTuple):
    """Where a spot stands: its stretch along the flow, and its middle and breadth across it."""

    begin: float
    end: float
    middle: float
    breadth: float


@dataclass(frozen=True, slots=True)
class Traced:
    """
    A way: *points* begin with its start; three for each piece follow, as a cubic Bezier curve has.

    *tip* is the triangle of its arrow.
    """

    points: Sequence[Point]
    tip: Sequence[Point]

    def moved(self, by: float) -> Traced:
        """Move it from the edge of the picture."""
        return Traced(*([(a + by, b + by) for a, b in each] for each in (self.points, self.tip)))

    def turned(self, *, is_down: bool) -> Traced:
        """Turn along and across into x and y."""
        if not is_down:
            return self
        return Traced(*([(b, a) for a, b in each] for each in (self.points, self.tip)))


def trace(
    ways: Sequence[Way],
    chains: Mapping[Way, Sequence[Spot]],
    back: frozenset[Way],
    rects: Mapping[Spot, Rect],
) -> dict[Way, Traced]:
    """Give each way its curve; those that lead *back* have their chain the other way round."""
    ports = _ports(chains, rects)
    found = {}
    for way in ways:
        here, there = way
        if here == there:
            found[way] = _loop(rects[here,])
        elif way in back and (there, here) in chains:
            found[way] = _curve(_passed((there, here), chains, ports, rects)[::-1])
        else:
            found[way] = _curve(_passed(way, chains, ports, rects))
    return found


def _ports(
    chains: Mapping[Way, Sequence[Spot]], rects: Mapping[Spot, Rect]
) -> dict[tuple[Spot, Spot], tuple[float, float]]:
    """Give each link where it leaves one spot and where it comes to the other, across the flow."""
    leaving, coming = defaultdict[Spot, list[Spot]](list), defaultdict[Spot, list[Spot]](list)
    for chain in chains.values():
        for here, there in pairwise(chain):
            leaving[here].append(there)
            coming[there].append(here)
    out = {(one, other): at for one in leaving for other, at in _spread(one, leaving[one], rects)}
    into = {(other, one): at for one in coming for other, at in _spread(one, coming[one], rects)}
    return {link: (at, into[link]) for link, at in out.items()}


def _spread(
    spot: Spot, others: Sequence[Spot], rects: Mapping[Spot, Rect]
) -> Sequence[tuple[Spot, float]]:
    """Spread the ways at a side of a spot, in the order in which their other ends stand."""
    rect = rects[spot]
    step = min(_PORT, max(rect.breadth - _PORT, 0.0) / len(others))
    first = rect.middle - step * (len(others) - 1) / 2
    ordered = sorted(others, key=lambda other: rects[other].middle)
    return [(other, first + step * number) for number, other in enumerate(ordered)]


def _passed(
    way: Way,
    chains: Mapping[Way, Sequence[Spot]],
    ports: Mapping[tuple[Spot, Spot], tuple[float, float]],
    rects: Mapping[Spot, Rect],
) -> list[Point]:
    """Give the points that a way goes through: the end of a rank, the begin of the next, ..."""
    points: list[Point] = []
    for one, other in pairwise(chains[way]):
        left, came = ports[one, other]
        points += [(rects[one].end, left), (rects[other].begin, came)]
    return points


def _curve(passed: Sequence[Point]) -> Traced:
    """Bend a way from rank to rank; where it passes one it is straight."""
    (along, across), forth = passed[-1], 1 if passed[-1][0] > passed[0][0] else -1
    passed = [*passed[:-1], (along - forth * _ARROW, across)]
    points = [passed[0]]
    for number, (one, other) in enumerate(pairwise(passed)):
        middle = (one[0] + other[0]) / 2
        bent = [(middle, one[1]), (middle, other[1])] if number % 2 == 0 else [one, other]
        points += [*bent, other]
    return Traced(points, _tip((along, across), (-forth * _ARROW, 0.0)))


def _loop(rect: Rect) -> Traced:
    """Lead a way around to the box that it comes from, at the side of the flow."""
    middle, side = (rect.begin + rect.end) / 2, rect.middle - rect.breadth / 2
    reach = min(18.0, (rect.end - rect.begin) / 3)
    out, end = (middle - reach, side), (middle + reach, side)
    points = [
        out, (out[0], side - _LOOP), (end[0], side - _LOOP), (end[0], side - _ARROW),
    ]  # fmt: skip
    return Traced(points, _tip(end, (0.0, -_ARROW)))


def _tip(at: Point, behind: Point) -> Sequence[Point]:
    """Give the triangle of an arrow that points to *at*; *behind* is where its back is."""
    (along, across), (long, broad) = at, behind
    back = (along + long, across + broad)
    half = (broad / 2, long / 2)
    return [at, (back[0] + half[0], back[1] + half[1]), (back[0] - half[0], back[1] - half[1])]

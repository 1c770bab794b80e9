"""`lay_out`: a graph as boxes in ranks and ways between them, across the page or down it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from stepflow.core.graphs import Graph, NodeKind
from stepflow.web.pages.graph.label import width_of
from stepflow.web.pages.graph.lines import Rect, Stretch, Traced, trace
from stepflow.web.pages.graph.order import in_order
from stepflow.web.pages.graph.place import placed
from stepflow.web.pages.graph.ranks import Way, ranks, ways_back

#: nodes that a picture has at most, and spots: nodes, and ranks that ways pass
MOST_NODES, MOST_SPOTS = 150, 1200
#: pixels: the height of a box, of one with a note
_HEIGHT, _NOTED = 30.0, 44.0
#: pixels between boxes of a rank, and between ranks
_GAP, _FLOW = 18.0, 46.0
#: pixels that a way takes which passes a rank, and a loop takes beside its box
_LANE, _LOOP = 8.0, 18.0
#: pixels around the whole, and before the first rank for the marks of the starts
_EDGE, _START = 10.0, 24.0

#: a node, `(id,)`, or a rank that a way passes, `(from, to, rank)`
Spot = tuple[str, ...]
Chains = Mapping[Way, Sequence[Spot]]


class Box(NamedTuple):
    """A node, in pixels."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A graph laid out: down the page, or across it from left to right."""

    boxes: Mapping[str, Box]
    lines: Mapping[Way, Traced]
    width: float
    height: float
    is_down: bool


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A graph in ranks, in the order in which they are drawn."""

    rows: Sequence[Sequence[Spot]]
    chains: Chains
    links: Sequence[tuple[Spot, Spot]]
    back: frozenset[Way]


@lru_cache(maxsize=32)
def lay_out(graph: Graph, *, is_down: bool) -> Layout | None:
    """Lay out *graph*; None for one that is too large to be looked at, or has no node."""
    if not 0 < len(graph.nodes) <= MOST_NODES:
        return None
    ranked = _ranked(graph)
    return None if ranked is None else _positioned(graph, ranked, is_down=is_down)


def _ranked(graph: Graph) -> _Ranked | None:
    back = ways_back(graph)
    forth = [
        (there, here) if (here, there) in back else (here, there)
        for here, there in graph.ways
        if here != there
    ]
    levels = ranks([node.id for node in graph.nodes], forth)
    chains = {way: _chain(way, levels) for way in forth}
    rows: list[list[Spot]] = [[] for _ in range(max(levels.values()) + 1)]
    for node, rank in levels.items():
        rows[rank].append((node,))
    for (here, _), chain in chains.items():
        for rank, spot in enumerate(chain[1:-1], levels[here] + 1):
            rows[rank].append(spot)
    if sum(map(len, rows)) > MOST_SPOTS:
        return None
    links = [link for chain in chains.values() for link in pairwise(chain)]
    return _Ranked(in_order(rows, links), chains, links, back)


def _chain(way: Way, levels: Mapping[str, int]) -> list[Spot]:
    """Give the spots of a way, one in each rank from its start to its end."""
    here, there = way
    between = range(levels[here] + 1, levels[there])
    return [(here,), *((here, there, str(rank)) for rank in between), (there,)]


def _positioned(graph: Graph, ranked: _Ranked, *, is_down: bool) -> Layout:
    """Give all a position: *along* the flow by its rank, *across* it by its neighbours."""
    sizes = _sizes(graph, is_down=is_down)
    loops = {(here,) for here, there in graph.ways if here == there}
    room = {
        spot: sizes.get(spot, (0.0, _LANE))[1] + 2 * _LOOP * (spot in loops)
        for row in ranked.rows
        for spot in row
    }
    across = placed(ranked.rows, ranked.links, room, _GAP)
    stretches = _stretches(ranked.rows, sizes)
    rects = {spot: _rect(stretches[spot], across[spot], sizes.get(spot)) for spot in room}
    length = max(end for _, end in stretches.values()) + 2 * _EDGE
    breadth = max(across[spot] + room[spot] / 2 for spot in room) + 2 * _EDGE
    lines = trace(graph.ways, ranked.chains, ranked.back, rects)
    return Layout(
        {node.id: _box(rects[node.id,], is_down=is_down) for node in graph.nodes},
        {way: line.moved(_EDGE).turned(is_down=is_down) for way, line in lines.items()},
        *((breadth, length) if is_down else (length, breadth)),
        is_down=is_down,
    )


def _sizes(graph: Graph, *, is_down: bool) -> dict[Spot, tuple[float, float]]:
    """Give how long each node is along the flow, and how broad across it."""
    found: dict[Spot, tuple[float, float]] = {}
    for node in graph.nodes:
        width = width_of(node.text, node.note, is_choice=node.kind is NodeKind.CHOICE)
        height = _NOTED if node.note else _HEIGHT
        found[node.id,] = (height, width) if is_down else (width, height)
    return found


def _stretches(
    rows: Sequence[Sequence[Spot]], sizes: Mapping[Spot, tuple[float, float]]
) -> dict[Spot, Stretch]:
    """Give the stretch along the flow that the rank of each spot takes."""
    depths = [max(sizes.get(spot, (0.0,))[0] for spot in row) for row in rows]
    begins = accumulate(depths, lambda begin, depth: begin + depth + _FLOW, initial=_START)
    return {
        spot: (begin, begin + depth)
        for row, begin, depth in zip(rows, begins, depths, strict=False)
        for spot in row
    }


def _rect(stretch: Stretch, across: float, size: tuple[float, float] | None) -> Rect:
    """Give where a spot stands: a node in the middle of its rank, what passes all along it."""
    if size is None:
        return Rect(*stretch, across, 0.0)
    middle = sum(stretch) / 2
    return Rect(middle - size[0] / 2, middle + size[0] / 2, across, size[1])


def _box(rect: Rect, *, is_down: bool) -> Box:
    along, across = rect.begin + _EDGE, rect.middle - rect.breadth / 2 + _EDGE
    length = rect.end - rect.begin
    if is_down:
        return Box(across, along, rect.breadth, length)
    return Box(along, across, length, rect.breadth)

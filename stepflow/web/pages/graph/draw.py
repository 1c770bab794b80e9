"""`draw`: a graph with its marks as numbers and words, for a template that computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stepflow.core.graphs import Graph, Mark, Marks, Node, NodeKind
from stepflow.web.pages.graph.label import cut
from stepflow.web.pages.graph.lay_out import Box, Layout, lay_out
from stepflow.web.pages.graph.lines import Traced
from stepflow.web.pages.graph.ranks import Way

#: pixels of width from which on a picture across the page is shown instead of one down it
WIDTHS = (480, 640, 860, 1120)
#: pixels by which the points of a choice stand out
_POINT = 9.0
#: what stands before a label that has a mark
SIGNS = {
    Mark.DONE: "✓", Mark.NOW: "▶", Mark.FAILED: "✕", Mark.SKIPPED: "↷", Mark.BLOCKED: "⊘",
}  # fmt: skip


class DrawnNode(NamedTuple):
    """A box: *shape* is the path around it, *look* how it is drawn, *title* what it is in words."""

    id: str
    look: str
    shape: str
    text: str
    note: str
    sign: str
    title: str
    x: str
    y: str
    note_y: str
    inner: str
    #: how often it was visited, above the right corner; empty for once
    times: str
    right: str
    above: str


class DrawnWay(NamedTuple):
    """A way: the path of its line, and that of its arrow."""

    line: str
    tip: str
    is_taken: bool
    title: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph drawn in one direction, *width* and *height* in pixels."""

    nodes: Sequence[DrawnNode]
    ways: Sequence[DrawnWay]
    starts: Sequence[DrawnWay]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Drawings:
    """
    A graph drawn down the page, and across it where that fits a screen.

    *from_px* is the least width, one of WIDTHS, in which that across is shown. *said* is the whole
    in words.
    """

    down: Drawing
    across: Drawing | None
    from_px: int
    said: str


def draw(graph: Graph, marks: Marks | None = None) -> Drawings | None:
    """Draw a graph with what a run has done of it; None for one that is too large."""
    marks = marks or Marks()
    down, across = lay_out(graph, is_down=True), lay_out(graph, is_down=False)
    if down is None or across is None:
        return None
    from_px = next((each for each in WIDTHS if across.width <= each), 0)
    return Drawings(
        _drawn(graph, marks, down),
        _drawn(graph, marks, across) if from_px else None,
        from_px,
        _said(graph, marks),
    )


def _drawn(graph: Graph, marks: Marks, layout: Layout) -> Drawing:
    ways = [_way(way, line, marks) for way, line in layout.lines.items()]
    return Drawing(
        [_node(node, layout.boxes[node.id], marks) for node in graph.nodes],
        sorted(ways, key=lambda way: way.is_taken),  # those taken lie above the others
        [_start(layout.boxes[start], layout, start in marks.nodes) for start in graph.starts],
        round(layout.width),
        round(layout.height),
    )


def _node(node: Node, box: Box, marks: Marks) -> DrawnNode:
    mark, visits = marks.nodes.get(node.id), marks.visits.get(node.id, 0)
    many = f"{visits:,}" if visits > 1 else ""
    kind = "" if node.kind is NodeKind.STEP else str(node.kind)
    words = [node.text, kind, node.note, str(mark or ""), many and f"{many} times", node.doc]
    middle = box.top + box.height / 2
    return DrawnNode(
        node.id,
        f"{node.kind} {mark or 'ahead'}",
        _outline(box, node.kind),
        cut(node.text),
        cut(node.note) if node.note else "",
        SIGNS[mark] if mark else "",
        ", ".join(dict.fromkeys(word for word in words if word)),
        _number(box.left + box.width / 2),
        _number(middle - 3 if node.note else middle + 4),
        _number(middle + 13),
        _outline(_within(box, 3), node.kind) if node.kind is NodeKind.END else "",
        many,
        _number(box.left + box.width),
        _number(box.top - 4),
    )


def _way(way: Way, line: Traced, marks: Marks) -> DrawnWay:
    return DrawnWay(_path(line), _closed(line.tip), way in marks.ways, f"{way[0]} to {way[1]}")


def _start(box: Box, layout: Layout, is_taken: bool) -> DrawnWay:  # noqa: FBT001  one caller
    """Draw the mark of a start, a dot with a way to its node; *tip* is the arrow of that."""
    if layout.is_down:
        x, y = box.left + box.width / 2, box.top
        points = [(x, y - 18), (x, y - 7)]
        tip = [(x, y), (x - 3.5, y - 7), (x + 3.5, y - 7)]
    else:
        x, y = box.left, box.top + box.height / 2
        points = [(x - 18, y), (x - 7, y)]
        tip = [(x, y), (x - 7, y - 3.5), (x - 7, y + 3.5)]
    return DrawnWay(f"M{_pair(points[0])}L{_pair(points[1])}", _closed(tip), is_taken, "start")


def _outline(box: Box, kind: NodeKind) -> str:
    """Give the path around a box: a choice has points, an end is round."""
    left, top, width, height = box
    right, bottom, middle = left + width, top + height, top + height / 2
    if kind is NodeKind.CHOICE:
        return _closed([
            (left, middle), (left + _POINT, top), (right - _POINT, top),
            (right, middle), (right - _POINT, bottom), (left + _POINT, bottom),
        ])  # fmt: skip
    round_ = _number(height / 2 if kind is NodeKind.END else 6)
    arc = f"a{round_} {round_} 0 0 1"
    r = float(round_)
    flat, high = _number(width - 2 * r), _number(height - 2 * r)
    return (
        f"M{_pair((left + r, top))}h{flat}{arc} {round_} {round_}v{high}{arc}-{round_} {round_}"
        f"h-{flat}{arc}-{round_}-{round_}v-{high}{arc} {round_}-{round_}Z"
    )


def _within(box: Box, by: float) -> Box:
    return Box(box.left + by, box.top + by, box.width - 2 * by, box.height - 2 * by)


def _path(line: Traced) -> str:
    first, *rest = line.points
    pieces = [rest[at : at + 3] for at in range(0, len(rest), 3)]
    return f"M{_pair(first)}" + "".join(f"C{' '.join(map(_pair, piece))}" for piece in pieces)


def _closed(points: Sequence[tuple[float, float]]) -> str:
    return f"M{'L'.join(map(_pair, points))}Z"


def _pair(point: tuple[float, float]) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _said(graph: Graph, marks: Marks) -> str:
    """Say in words what the picture shows, for who does not see it."""
    by_mark: Mapping[Mark, list[str]] = {mark: [] for mark in Mark}
    for node in graph.nodes:
        if node.id in marks.nodes:
            by_mark[marks.nodes[node.id]].append(node.text)
    said = [f"{mark}: {', '.join(names)}" for mark, names in by_mark.items() if names]
    return "; ".join([f"Graph of {len(graph.nodes)} nodes", *said])

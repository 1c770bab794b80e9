"""`draw`: a layout as numbers and words, for a template that computes nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stepflow.web.pages.timeline.activations import KEY
from stepflow.web.pages.timeline.breakdown import Share
from stepflow.web.pages.timeline.lay_out import Layout
from stepflow.web.pages.timeline.model import AT_WORK, Look, Mark, Row, Segment
from stepflow.web.pages.timeline.scale import Piece, Scale, ticks
from stepflow.web.pages.timeline.words import SHARES, length, since, told

#: the looks that are drawn as a bar; the rest, which is waiting, as a thin line
_BARS = AT_WORK | {Look.CHILD}
#: per cent of the width that a bar has at least: without any it is not drawn
_LEAST = 0.02
#: per cent of the width between folds that both say how long they are
_APART = 6.0


class Bar(NamedTuple):
    """A bar, in per cent of the width."""

    look: str
    left: str
    width: str
    title: str
    is_open: bool


class Line(NamedTuple):
    """A thin line, in per cent of the width."""

    look: str
    left: str
    right: str
    title: str


class Point(NamedTuple):
    """A mark, or a word on the axis, at a per cent of the width."""

    left: str
    kind: str
    title: str


class Fold(NamedTuple):
    """A folded stretch, with its length in words: where these stand, and how they are aligned."""

    left: str
    width: str
    words: str
    said_at: str
    aligned: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A row: *label* is what its bar says to who does not see it."""

    row: Row
    bars: Sequence[Bar]
    lines: Sequence[Line]
    marks: Sequence[Point]
    label: str
    took: str
    attempts: int


class Part(NamedTuple):
    """A part of the strip that says where the time went."""

    what: str
    words: str
    took: str
    share: str
    left: str
    width: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A timeline, ready to be written down."""

    lead: Drawn
    rows: Sequence[Drawn]
    ticks: Sequence[Point]
    folds: Sequence[Fold]
    parts: Sequence[Part]
    took: str
    count: int
    is_folded: bool


def draw(layout: Layout) -> Picture:
    """Turn a layout into what the template writes."""
    scale = layout.scale
    return Picture(
        _drawn(layout.lead, scale),
        [_drawn(row, scale) for row in layout.rows],
        [
            Point(_per_cent(tick.left), "", since(tick.after_s, tick.step_s))
            for tick in ticks(scale)
        ],
        list(_folds(scale)),
        list(_parts(layout.shares)),
        length(layout.window.last - layout.window.first),
        layout.count,
        is_folded=bool(scale.folds),
    )


def _drawn(row: Row, scale: Scale) -> Drawn:
    bars = [_bar(each, scale) for each in row.segments if each.look in _BARS]
    if len(bars) == 1 and not row.note:  # its label says as much
        bars = [bars[0]._replace(title="")]
    lines = [_line(each, scale) for each in row.segments if each.look not in _BARS]
    marks = [_mark(each, scale) for each in row.marks]
    is_one = row.bundle is None and row.key != KEY
    attempts = sum(each.look in AT_WORK for each in row.segments) if is_one else 1
    took = "" if row.took_s is None else length(row.took_s)
    return Drawn(row, bars, lines, marks, told(row), took, attempts)


def _bar(segment: Segment, scale: Scale) -> Bar:
    left, right = scale.at(segment.start), scale.at(segment.end)
    title = _titled(segment)
    width = max(right - left, _LEAST)
    return Bar(segment.look, _per_cent(left), _per_cent(width), title, segment.is_open)


def _line(segment: Segment, scale: Scale) -> Line:
    left, right = scale.at(segment.start), scale.at(segment.end)
    return Line(segment.look, _per_cent(left), _per_cent(right), _titled(segment))


def _titled(segment: Segment) -> str:
    spent = length(segment.end - segment.start)
    return f"{segment.title}, {spent}" if segment.title else ""


def _mark(mark: Mark, scale: Scale) -> Point:
    return Point(_per_cent(scale.at(mark.at)), mark.kind, mark.title)


def _folds(scale: Scale) -> Iterator[Fold]:
    """Give the folded stretches; of some that stand close together, the longest says how long."""
    said: list[Piece] = []
    for piece in sorted(scale.folds, key=_shortness):
        if all(abs(piece.left - other.left) >= _APART for other in said):
            said.append(piece)
    for piece in scale.folds:
        words = length(piece.end - piece.start) if piece in said else ""
        width = piece.right - piece.left
        said_at, aligned = piece.left + width / 2, "middle"
        if width < _APART and not piece.left:
            said_at, aligned = 0.0, "start"
        elif width < _APART and piece is scale.pieces[-1]:
            said_at, aligned = 100.0, "end"
        yield Fold(_per_cent(piece.left), _per_cent(width), words, _per_cent(said_at), aligned)


def _shortness(piece: Piece) -> float:
    return piece.start - piece.end


def _parts(shares: Sequence[Share]) -> Iterator[Part]:
    """Give each share at least a sliver, so that none is lost."""
    least = 0.004
    whole = sum(max(share.share, least) for share in shares) or 1.0
    left = 0.0
    for share in shares:
        width = 100 * max(share.share, least) / whole
        yield Part(
            share.what, SHARES[share.what], length(share.spent_s), _share(share.share),
            _per_cent(left), _per_cent(width),
        )  # fmt: skip
        left += width


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "< 1%"  # noqa: PLR2004  a per cent


def _per_cent(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") + "%"

"""Where moments stand across the width of a timeline: idle stretches are folded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

#: a stretch of time in unix seconds
Stretch = tuple[float, float]

#: an idle stretch is folded that is longer than this, in seconds,
_LONGEST_S = 1.0
#: and would be wider than this, in per cent
_WIDEST = 5.0
#: per cent of the width that one folded stretch takes, and all of them together
_FOLD, _FOLDS = 4.0, 40.0
#: seconds that the width stands for at least, and what is not folded beside what is
_SHORTEST_S, _UNFOLDED_S = 0.001, 0.25


class Piece(NamedTuple):
    """A stretch of time and its place: `left` to `right` in per cent of the width."""

    start: float
    end: float
    left: float
    right: float
    is_folded: bool = False


class Scale:
    """
    Turns moments into per cent of the width, from 0 at *first* to 100 at *last*.

    A later moment never stands further left. With *is_true* nothing is folded.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces
        self._starts = [piece.start for piece in pieces]

    @classmethod
    def of(
        cls, busy: Iterable[Stretch], first: float, last: float, *, is_true: bool = False
    ) -> Self:
        """Make the scale in which what lies between *busy* stretches is folded, if it is long."""
        last = max(last, first + _SHORTEST_S)
        folds = [] if is_true else _worth_folding(list(gaps(busy, first, last)), last - first)
        return cls(_pieces(sorted(folds), first, last))

    @property
    def first(self) -> float:
        """The moment at 0 per cent."""
        return self.pieces[0].start

    @property
    def last(self) -> float:
        """The moment at 100 per cent."""
        return self.pieces[-1].end

    @property
    def folds(self) -> Sequence[Piece]:
        """The stretches that are folded."""
        return [piece for piece in self.pieces if piece.is_folded]

    def at(self, moment: float) -> float:
        """Say where a moment stands, in per cent; one outside stands at the edge."""
        moment = min(max(moment, self.first), self.last)
        piece = self.pieces[max(bisect_right(self._starts, moment) - 1, 0)]
        share = (moment - piece.start) / (piece.end - piece.start)
        return min(piece.left + share * (piece.right - piece.left), piece.right)


def union(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Join the stretches that touch, the earliest first."""
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def gaps(busy: Iterable[Stretch], first: float, last: float) -> Iterable[Stretch]:
    """Give what lies between *first* and *last* and is not busy."""
    edge = first
    for start, end in union(busy):
        if start > edge:
            yield edge, min(start, last)
        edge = max(edge, end)
        if edge >= last:
            return
    yield edge, last


def _worth_folding(idle: Sequence[Stretch], span_s: float) -> list[Stretch]:
    """Choose from the longest on: each one folded makes room, in which the next looks wider."""
    folds: list[Stretch] = []
    left_s = span_s
    for gap in sorted(idle, key=lambda stretch: stretch[0] - stretch[1]):
        length_s = gap[1] - gap[0]
        width = length_s / left_s * _rest(left_s, len(folds))
        is_all = length_s >= left_s and not folds
        if length_s <= _LONGEST_S or width <= _WIDEST or is_all:
            break
        folds.append(gap)
        left_s = max(left_s - length_s, _SHORTEST_S)
    return folds


def _rest(rest_s: float, folds: int) -> float:
    """Say how much of the width is left to what is not folded, *rest_s* long."""
    if not folds:
        return 100.0
    return (100.0 - min(_FOLD * folds, _FOLDS)) * min(rest_s / _UNFOLDED_S, 1.0)


def _pieces(folds: Sequence[Stretch], first: float, last: float) -> list[Piece]:
    """Part the width among the folds, and among the rest by its length."""
    rest_s = max((last - first) - sum(end - start for start, end in folds), 0.0)
    rest = _rest(rest_s, len(folds))
    fold = (100.0 - rest) / max(len(folds), 1)
    per_s = rest / rest_s if rest_s else 0.0
    found: list[Piece] = []
    at, left = first, 0.0
    for start, end in folds:
        if start > at:
            found.append(Piece(at, start, left, left := left + (start - at) * per_s))
        found.append(Piece(start, end, left, left := left + fold, is_folded=True))
        at = end
    if last > at or not found:
        found.append(Piece(at, max(last, at + _SHORTEST_S), left, 100.0))
    found[-1] = found[-1]._replace(right=100.0)
    return found


class Tick(NamedTuple):
    """A moment that the axis names, by the seconds since the beginning."""

    left: float
    after_s: float
    #: seconds between it and the next one
    step_s: float


#: seconds between ticks
STEPS = (
    *(base * 10.0**power for power in range(-3, 1) for base in (1, 2, 5)), 10, 15, 30,
    60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200,
    *(86_400.0 * days for days in (1, 2, 7, 30, 90, 365, 3650)),
)  # fmt: skip
#: per cent that ticks stand apart at least
_APART = 9.0


def ticks(scale: Scale) -> list[Tick]:
    """Choose round moments that the axis names: the same distance apart in all that is shown."""
    shown = [piece for piece in scale.pieces if not piece.is_folded]
    per_s = max(((p.right - p.left) / (p.end - p.start) for p in shown), default=1.0)
    step = next((step for step in STEPS if step * per_s >= _APART), STEPS[-1])
    found: list[Tick] = []
    for piece in shown:
        number = -int(-(piece.start - scale.first) // step)
        while (after_s := number * step) + scale.first <= piece.end:
            left = scale.at(scale.first + after_s)
            if _is_free(left, found, scale):
                found.append(Tick(left, after_s, step))
            number += 1
    return found


def _is_free(left: float, found: Sequence[Tick], scale: Scale) -> bool:
    """Whether a tick has room for its words, beside its neighbours, the folds and the edge."""
    if left > 100.0 - _APART / 2 or (found and left - found[-1].left < _APART * 0.9):
        return False
    near = _APART / 3
    return all(left < fold.left - near or left > fold.right + near for fold in scale.folds)

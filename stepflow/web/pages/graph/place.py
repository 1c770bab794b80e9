"""Positions across the flow: each node as near to its neighbours as its row leaves it room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TypeVar

N = TypeVar("N", bound=Hashable)

_SWEEPS = 12


def placed(
    rows: Sequence[Sequence[N]],
    links: Sequence[tuple[N, N]],
    sizes: Mapping[N, float],
    gap: float,
) -> Mapping[N, float]:
    """Give the middle of each node, from 0 on; the nodes of a row keep their order and *gap*."""
    beside = defaultdict[N, list[N]](list)
    for here, there in links:
        beside[here].append(there)
        beside[there].append(here)
    steps = {id(row): _steps(row, sizes, gap) for row in rows}
    middles: dict[N, float] = {}
    for row in rows:
        middles |= zip(row, accumulate(steps[id(row)]), strict=True)
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            wanted = [
                _mean([middles[each] for each in beside[node]], middles[node]) for node in row
            ]
            middles |= zip(row, _apart(wanted, steps[id(row)]), strict=True)
    least = min((middles[node] - sizes[node] / 2 for row in rows for node in row), default=0.0)
    return {node: middle - least for node, middle in middles.items()}


def _steps(row: Sequence[N], sizes: Mapping[N, float], gap: float) -> list[float]:
    """Give how far the middle of each node is from that before it, at least."""
    apart = ((sizes[one] + sizes[other]) / 2 + gap for one, other in pairwise(row))
    return [0.0, *apart][: len(row)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(wanted: Sequence[float], steps: Sequence[float]) -> Sequence[float]:
    """
    Give the positions nearest to those wanted, by least squares, that are *steps* apart.

    Less their offsets they must rise: neighbours that do not are pooled (isotonic regression).
    """
    offsets = list(accumulate(steps))
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, size = pools.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        pools.append((mean, count))
    levels = [mean for mean, count in pools for _ in range(count)]
    return [level + offset for level, offset in zip(levels, offsets, strict=True)]

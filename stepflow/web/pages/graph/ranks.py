"""Ranks: every node stands after those that lead to it, but for ways that lead back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from stepflow.core.graphs import Graph

Way = tuple[str, str]


def ways_back(graph: Graph) -> frozenset[Way]:
    """Find the ways that close a circle, as one meets them that goes from the starts in order."""
    after = _after(graph.ways)
    back: set[Way] = set()
    left, entered = set(), set()
    for root in (*graph.starts, *(node.id for node in graph.nodes)):
        if root in entered:
            continue
        entered.add(root)
        trail: list[tuple[str, Iterator[str]]] = [(root, iter(after[root]))]
        while trail:
            here, ahead = trail[-1]
            there = next(ahead, None)
            if there is None:
                left.add(here)
                trail.pop()
            elif there not in entered:
                entered.add(there)
                trail.append((there, iter(after[there])))
            elif there not in left:
                back.add((here, there))
    return frozenset(back)


def ranks(nodes: Sequence[str], ways: Sequence[Way]) -> Mapping[str, int]:
    """Give each node the length of the longest way to it; *ways* close no circle."""
    after = _after(ways)
    missing = dict.fromkeys(nodes, 0)
    for _, there in ways:
        missing[there] += 1
    found = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not missing[node]]
    for here in ready:
        for there in after[here]:
            found[there] = max(found[there], found[here] + 1)
            missing[there] -= 1
            if not missing[there]:
                ready.append(there)
    return found


def _after(ways: Sequence[Way]) -> Mapping[str, list[str]]:
    after = defaultdict[str, list[str]](list)
    for here, there in ways:
        after[here].append(there)
    return after

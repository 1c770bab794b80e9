"""Counts by what they count, as they were read of one hash or of several."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from stepflow.core.counts import BUCKETS, Count, Counted, read_counts

#: the fields of a hash of counts, as Redis gives them
Written = Mapping[bytes, bytes]
#: counts by runner or queue, then by label; either is "" for what is not counted by it
Owned = Mapping[str, Mapping[str, int]]

_NONE: Mapping[str, int] = {}


class Tally:
    """The sum of some hashes of counts."""

    def __init__(self, hashes: Iterable[Written] = ()) -> None:
        self._counts: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(
            lambda: defaultdict(Counter)
        )
        for written in hashes:
            self.add(written)

    def add(self, written: Written) -> None:
        """Add the counts of one more hash."""
        for count, number in read_counts(written):
            self.count(count, number)

    def count(self, count: Count, number: int) -> None:
        """Add to one count."""
        self._counts[count.kind][count.of][count.label] += number

    def of_kind(self, kind: Counted) -> Owned:
        """Give the counts of a kind."""
        return self._counts[kind]

    def total(self, kind: Counted, of: str | None = None) -> int:
        """Add up the counts of a kind, those of one runner or queue or of all."""
        owned = self._counts[kind]
        if of is not None:
            return sum(owned.get(of, _NONE).values())
        return sum(sum(labels.values()) for labels in owned.values())

    def labels(self, kind: Counted, of: str | None = None) -> dict[str, int]:
        """Give the counts of a kind by their label, those of one runner or of all added up."""
        owned = self._counts[kind]
        found: Counter[str] = Counter()
        for labels in owned.values() if of is None else [owned.get(of, _NONE)]:
            found.update(labels)
        return dict(sorted(found.items()))

    def buckets(self, kind: Counted, of: str) -> dict[int, int]:
        """Give the histogram of a runner or queue."""
        labels = self._counts[kind].get(of, _NONE)
        numbers = {int(label): number for label, number in labels.items() if label.isdecimal()}
        return {bucket: number for bucket, number in numbers.items() if bucket < BUCKETS}

    def owners(self, *kinds: Counted) -> list[str]:
        """Name the runners or queues that counts of these kinds belong to."""
        return sorted({of for kind in kinds for of in self._counts[kind]})

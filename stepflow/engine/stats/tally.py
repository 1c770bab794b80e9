"""Counts by what they count, as they were read of one hash or of several."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from stepflow.core.counts import Count, Counted, read_counts

#: the fields of a hash of counts, as Redis gives them
Written = Mapping[bytes, bytes]


class Tally:
    """The sum of some hashes of counts."""

    def __init__(self, hashes: Iterable[Written] = ()) -> None:
        self._counts: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        for written in hashes:
            self.add(written)

    def add(self, written: Written) -> None:
        """Add the counts of one more hash."""
        for count, number in read_counts(written):
            self.count(count, number)

    def count(self, count: Count, number: int) -> None:
        """Add to one count."""
        self._counts[count.kind][count.of, count.label] += number

    def all(self, kind: Counted) -> Mapping[tuple[str, str], int]:
        """Give the counts of a kind, by what they are counted by."""
        return self._counts[kind]

    def total(self, kind: Counted, of: str | None = None) -> int:
        """Add up the counts of a kind, those of one runner or queue or of all."""
        return sum(number for (key, _), number in self.all(kind).items() if of in (None, key))

    def labels(self, kind: Counted, of: str | None = None) -> dict[str, int]:
        """Give the counts of a kind by their label, those of one runner or of all added up."""
        found: Counter[str] = Counter()
        for (key, label), number in self.all(kind).items():
            if of in (None, key):
                found[label] += number
        return dict(sorted(found.items()))

    def buckets(self, kind: Counted, of: str) -> dict[int, int]:
        """Give the histogram of a runner or queue."""
        labels = self.labels(kind, of)
        return {int(label): number for label, number in labels.items() if label.isdigit()}

    def owners(self, *kinds: Counted) -> list[str]:
        """Name the runners or queues that counts of these kinds belong to."""
        return sorted({of for kind in kinds for of, _ in self.all(kind)})

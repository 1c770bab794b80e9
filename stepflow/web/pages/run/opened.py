"""Which rows of a timeline are open: the query of the page says so, and links change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

#: stands between words: no name of a step has one
_BAR = "|"
#: how the words of a child and of a map begin
_CHILD, _MAP = "child:", "map:"
#: children that are read for one page
MOST_CHILDREN = 8


@dataclass(frozen=True, slots=True)
class Opened:
    """The words of the rows that are open, in the order in which they were opened."""

    words: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Opened:
        """Read the query."""
        return cls(tuple(word for word in text.split(_BAR) if word))

    def turned(self, word: str) -> str:
        """Write the query that opens a row, or closes it if it is open."""
        words = [each for each in self.words if each != word]
        return _BAR.join(words if word in self.words else [*words, word])

    def has_map(self, group_id: str) -> bool:
        """Whether a map is open."""
        return f"{_MAP}{group_id}" in self.words

    def children(self) -> Iterator[str]:
        """Give the ids of the children that are open."""
        found = [word.removeprefix(_CHILD) for word in self.words if word.startswith(_CHILD)]
        yield from found[-MOST_CHILDREN:]

"""A JSON document of which only a part is in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, groupby
from operator import itemgetter
from typing import Any


def pieces(parts: Iterable[Mapping[str, Any]], write: Callable[[Any], str]) -> Iterator[str]:
    """
    Write the parts of one document as `client.export` gives them: a line for each field and item.

    A list that comes in several parts, one after the other, is one list.
    """
    before = "{\n"
    pairs = (pair for part in parts for pair in part.items())
    for name, same in groupby(pairs, key=itemgetter(0)):
        yield f"{before}{write(name)}: "
        yield from _values((held for _, held in same), write)
        before = ",\n"
    yield "\n}"


def _values(held: Iterator[Any], write: Callable[[Any], str]) -> Iterator[str]:
    first = next(held)
    if not isinstance(first, list):
        yield write(first)
        return
    before = "[\n"
    for item in chain(first, chain.from_iterable(held)):
        yield before + write(item)
        before = ",\n"
    yield "\n]" if before == ",\n" else "[]"

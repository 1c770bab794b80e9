"""Many steps in few rows: bundled by name, then by order, each bundle to be opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import median_low

from stepflow.engine.timeline import StepKind, StepState
from stepflow.web.pages.timeline.model import Bundle, Item, Items, Look, Row, Segment, Span, Window

#: rows that are shown without bundling
MOST_ROWS = 400
#: bundles into which a sequence is parted, and rows that an opened bundle shows at most
_PARTS, _OPENED = 50, 100
_NUMBER = re.compile(r"\d+")
_NUMBERED = re.compile(r"(.*?)(\d+)")
#: stretches closer than this share of the window look like one
_FINE = 1 / 1000


@dataclass(frozen=True, slots=True)
class Bundled:
    """Items that share a row; *key* is the word by which it is opened."""

    key: str
    kind: StepKind
    name: str
    items: Items


class Listed(list[Item]):
    """Items that are there."""

    def part(self, first: int, stop: int) -> Listed:
        """Give some of them."""
        return Listed(self[first:stop])

    def spans(self) -> Iterator[Span]:
        """Give what a bundle takes of them."""
        for item in self:
            yield item.start, item.end, item.took_s, item.has_failed, item.is_open


def bundled(
    items: Items, *, key: str = "", most: int = MOST_ROWS, has_names: bool = True
) -> Sequence[Item | Bundled]:
    """
    Bundle items until there are at most *most* rows, in the order in which they began.

    By name first; where there are too many of these, by what the names have in common; else by
    their order. *key* is that of the bundle to which they belong.
    """
    if len(items) <= most:
        return list(items)
    for name_of in (_name, _pattern) if has_names and not key else ():
        found = _by_name(items, name_of)
        if 1 < len(found) <= most:
            return found
    return list(_by_order(items, key))


def opened(bundle: Bundled) -> Sequence[Item | Bundled]:
    """Give what an opened bundle shows."""
    return bundled(bundle.items, key=bundle.key, most=_OPENED)


def bundle_row(bundle: Bundled, window: Window, *, depth: int, is_opened: bool) -> Row:
    """Make the row of a bundle: how many, how long they took, where they were at work."""
    lengths: list[float] = []
    failures, is_live = 0, False
    stretches = Stretches(window)
    for start, end, took_s, has_failed, is_open in bundle.items.spans():
        stretches.add(Look.FAILED if has_failed else Look.WORK, start, end, is_open=is_open)
        failures += has_failed
        is_live = is_live or is_open
        if took_s is not None:
            lengths.append(took_s)
    state = StepState.FAILED if failures else StepState.SUCCEEDED
    return Row(
        bundle.key, bundle.kind, bundle.name, StepState.RUNNING if is_live else state,
        stretches.found(), took_s=sum(lengths) if lengths else None,
        opens=bundle.key, is_opened=is_opened, depth=depth, is_live=is_live,
        bundle=Bundle(
            len(bundle.items), failures, p50_s=median_low(lengths) if lengths else None,
            longest_s=max(lengths, default=None),
        ),
    )  # fmt: skip


def _by_name(items: Items, name_of: Callable[[Item], str]) -> Sequence[Item | Bundled]:
    groups: dict[tuple[StepKind, str], Listed] = {}
    for item in items:
        groups.setdefault((item.kind, name_of(item)), Listed()).append(item)
    return [
        part[0] if len(part) == 1 else Bundled(f"{kind} {name}", kind, name, part)
        for (kind, name), part in groups.items()
    ]


def _name(item: Item) -> str:
    return item.name


def _pattern(item: Item) -> str:
    return _NUMBER.sub("#", item.name)


def _by_order(items: Items, key: str) -> Iterator[Item | Bundled]:
    size = -(-len(items) // _PARTS)
    for first in range(0, len(items), size):
        part = items.part(first, min(first + size, len(items)))
        if len(part) == 1:
            yield part[0]
            continue
        name = _name_of_both(part[0].name, part[len(part) - 1].name)
        yield Bundled(f"{key}/{first}-{first + len(part) - 1}", part[0].kind, name, part)


def _name_of_both(first: str, last: str) -> str:
    """Name a sequence by its ends: by both numbers, or with both names whole."""
    one, two = _NUMBERED.fullmatch(first), _NUMBERED.fullmatch(last)
    if one is not None and two is not None and one[1] == two[1]:
        return f"{first}–{two[2]}"  # noqa: RUF001  a dash between numbers
    return f"{first} … {last}"


class Stretches:
    """Joins stretches of one look that the eye cannot tell apart."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._fine = (window.last - window.first) * _FINE
        #: of each look the one that grows, and those that are done
        self._open: dict[Look, tuple[float, float, bool]] = {}
        self._done: list[Segment] = []

    def add(self, look: Look, start: float, end: float, *, is_open: bool = False) -> None:
        """Add a stretch; they come about in the order in which they began."""
        known = self._open.get(look)
        if known is None:
            self._open[look] = (start, end, is_open)
            return
        first, last, was_open = known
        if first <= start and end <= last and not is_open:
            return
        if first - self._fine <= start <= last + self._fine:
            self._open[look] = (min(first, start), max(last, end), was_open or is_open)
            return
        self._done.append(Segment(look, first, last, "", was_open))
        self._open[look] = (start, end, is_open)

    def found(self) -> list[Segment]:
        """Give what of them is in the window, in the order in which it began."""
        rest = [Segment(look, *edges[:2], "", edges[2]) for look, edges in self._open.items()]
        found = (self._window.clip(segment) for segment in [*self._done, *rest])
        return sorted((each for each in found if each is not None), key=itemgetter(1))

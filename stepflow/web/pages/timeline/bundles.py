"""Many steps in few rows: bundled by name, then by order, each bundle to be opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median_low

from stepflow.engine.timeline import StepKind, StepState
from stepflow.web.pages.timeline.model import Bundle, Item, Look, Row, Segment, Window

#: rows that are shown without bundling
MOST_ROWS = 400
#: bundles into which a sequence is parted, and rows that an opened bundle shows at most
_PARTS, _OPENED = 50, 100
_NUMBER = re.compile(r"\d+")
#: stretches closer than this share of the window look like one
_FINE = 1 / 1000


@dataclass(frozen=True, slots=True)
class Bundled:
    """Items that share a row; *key* is the word by which it is opened."""

    key: str
    kind: StepKind
    name: str
    items: Sequence[Item]


def bundled(
    items: Sequence[Item], *, key: str = "", most: int = MOST_ROWS, has_names: bool = True
) -> Sequence[Item | Bundled]:
    """
    Bundle items until there are at most *most* rows, in the order in which they began.

    By name first; where there are too many of these, by what the names have in common; else by
    their order. *key* is that of the bundle to which they belong.
    """
    if len(items) <= most:
        return items
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
    for _, _, _, _, start, end, took_s, has_failed, is_open in bundle.items:
        stretches.add(Look.FAILED if has_failed else Look.WORK, start, end, is_open=is_open)
        failures += has_failed
        is_live = is_live or is_open
        if took_s is not None:
            lengths.append(took_s)
    state = StepState.FAILED if failures else StepState.SUCCEEDED
    return Row(
        bundle.key, bundle.kind, bundle.name, StepState.RUNNING if is_live else state,
        stretches.found, took_s=sum(lengths) if lengths else None,
        opens=bundle.key, is_opened=is_opened, depth=depth, is_live=is_live,
        bundle=Bundle(
            len(bundle.items), failures, p50_s=median_low(lengths) if lengths else None,
            longest_s=max(lengths, default=None),
        ),
    )  # fmt: skip


def _by_name(items: Sequence[Item], name_of: Callable[[Item], str]) -> Sequence[Item | Bundled]:
    groups: dict[tuple[StepKind, str], list[Item]] = {}
    for item in items:
        groups.setdefault((item.kind, name_of(item)), []).append(item)
    return [
        part[0] if len(part) == 1 else Bundled(f"{kind} {name}", kind, name, part)
        for (kind, name), part in groups.items()
    ]


def _name(item: Item) -> str:
    return item.name


def _pattern(item: Item) -> str:
    return _NUMBER.sub("#", item.name)


def _by_order(items: Sequence[Item], key: str) -> Iterator[Item | Bundled]:
    size = -(-len(items) // _PARTS)
    for first in range(0, len(items), size):
        part = items[first : first + size]
        if len(part) == 1:
            yield part[0]
            continue
        name = f"{part[0].name} … {part[-1].name}"
        yield Bundled(f"{key}/{first}-{first + len(part) - 1}", part[0].kind, name, part)


class Stretches:
    """Joins stretches of one look that the eye cannot tell apart."""

    def __init__(self, window: Window) -> None:
        #: what there is so far, about in the order in which it began
        self.found: list[Segment] = []
        self._window = window
        self._fine = (window.last - window.first) * _FINE
        #: the last one of each look: its index, where it begins and where it ends
        self._last: dict[Look, tuple[int, float, float]] = {}

    def add(self, look: Look, start: float, end: float, *, is_open: bool = False) -> None:
        """Add a stretch, what of it is in the window."""
        known = self._last.get(look)
        if known is not None and known[1] - self._fine <= start <= known[2] + self._fine:
            index, start, before = known[0], min(start, known[1]), known[2]
            if end <= before and not is_open:
                return
            end = max(end, before)
            segment = self._window.clip(Segment(look, start, end, is_open=is_open))
            if segment is not None:
                self.found[index] = segment
                self._last[look] = index, start, end
            return
        segment = self._window.clip(Segment(look, start, end, is_open=is_open))
        if segment is not None:
            self._last[look] = len(self.found), start, end
            self.found.append(segment)

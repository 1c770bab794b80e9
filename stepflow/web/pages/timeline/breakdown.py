"""Where the time of a run went: each moment counts for one thing, working before waiting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stepflow.web.pages.timeline.model import AT_WORK, Look, Segment, Window
from stepflow.web.pages.timeline.scale import union

WORK = "work"
#: the share from which waiting is worth a word
_LEAST = 0.001
#: what a moment counts for, the first that fits
_ORDER: Sequence[tuple[str, frozenset[Look]]] = (
    (WORK, AT_WORK),
    ("child", frozenset({Look.CHILD})),
    ("question", frozenset({Look.QUESTION})),
    ("signal", frozenset({Look.SIGNAL})),
    ("retry", frozenset({Look.RETRY})),
    ("sleep", frozenset({Look.SLEEP})),
    ("queue", frozenset({Look.QUEUE})),
    ("start", frozenset({Look.START})),
)
#: what is left: no step was under way and nothing was waited for
REST = "between"


@dataclass(frozen=True, slots=True)
class Share:
    """How long a run was at one thing, in seconds and as a share of all its time."""

    what: str
    spent_s: float
    share: float


def breakdown(segments: Iterable[Segment], window: Window) -> list[Share]:
    """Say where the time went, in the order of the precedence; what took none is left out."""
    whole_s = max(window.last - window.first, 0.001)
    by_look: dict[Look, list[tuple[float, float]]] = {}
    for segment in segments:
        by_look.setdefault(segment.look, []).append((segment.start, segment.end))
    found: list[Share] = []
    covered: list[tuple[float, float]] = []
    before_s = 0.0
    for what, looks in _ORDER:
        more = [stretch for look in looks for stretch in by_look.get(look, [])]
        covered = union([*covered, *more])
        total_s = sum(end - start for start, end in covered)
        spent_s = total_s - before_s
        if spent_s > (0.0 if what == WORK else whole_s * _LEAST):
            found.append(Share(what, spent_s, spent_s / whole_s))
        before_s = total_s
    if (rest_s := whole_s - before_s) > whole_s * _LEAST:
        found.append(Share(REST, rest_s, rest_s / whole_s))
    return found

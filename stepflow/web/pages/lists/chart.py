"""How many runs ended in each of the last minutes, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stepflow.core.run import RunState
from stepflow.engine.stats import StatsPeriod

#: units of the drawing: its height, the width of a bar, and the room between two
HEIGHT, _BAR, _ROOM = 40, 8, 2
#: what stands on what, from the ground up
_ORDER = (RunState.FAILED, RunState.CANCELLED, RunState.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a bar: the runs of one end."""

    state: str
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of *parts*, each bar with a *title*; *width* units wide, *most* runs high."""

    width: int
    most: int
    bars: Sequence[tuple[int, str, Sequence[Part]]]
    submitted: int
    ended: dict[str, int]


def chart_of(minutes: Sequence[StatsPeriod]) -> Chart:
    """Draw what ended in each minute."""
    most = max((sum(minute.ended.values()) for minute in minutes), default=0)
    bars = [
        (number * (_BAR + _ROOM), _title(minute), _parts(number, minute, most))
        for number, minute in enumerate(minutes)
    ]
    return Chart(
        width=len(minutes) * (_BAR + _ROOM),
        most=most,
        bars=bars,
        submitted=sum(minute.submitted for minute in minutes),
        ended={state: sum(minute.ended.get(state, 0) for minute in minutes) for state in _ORDER},
    )


def _parts(number: int, minute: StatsPeriod, most: int) -> Sequence[Part]:
    ground, parts = float(HEIGHT), []
    for state in _ORDER:
        count = minute.ended.get(state, 0)
        if count:
            # whatever there is at all can be seen
            height = min(ground, max(1.0, count / most * HEIGHT))
            ground -= height
            parts.append(Part(state, number * (_BAR + _ROOM), round(ground, 2), round(height, 2)))
    return parts


def _title(minute: StatsPeriod) -> str:
    ended = [f"{minute.ended[state]:,} {state}" for state in _ORDER if minute.ended.get(state)]
    return f"{minute.at:%H:%M} UTC: {', '.join(ended) or 'nothing ended'}"

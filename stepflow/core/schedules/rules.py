"""What a schedule does at its times: the rules that somebody gave it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar

from stepflow.core.ids import check_count
from stepflow.core.schedules.times import Times, after, read_times
from stepflow.errors import InvalidName, InvalidOption, shown

K = TypeVar("K", bound=StrEnum)

_ID = re.compile(r"[A-Za-z0-9_-]{1,60}")
#: seconds that missed times are made up for, unless the schedule says otherwise: a day
WITHIN_S = 86400.0
#: seconds that a time may be late and still counts as kept where nothing missed is made up for
GRACE_S = 60.0
#: times that may wait for the end of a run
MOST_BUFFERED = 1000


class Overlap(StrEnum):
    """What becomes of a time while the run of an earlier one has not ended."""

    #: it is left out
    SKIP = "skip"
    #: its run begins when that one ends; a second time that comes meanwhile is left out
    BUFFER_ONE = "buffer_one"
    #: so does each time that comes meanwhile, one after the other
    BUFFER_ALL = "buffer_all"
    #: that one is cancelled, and the run begins when it has ended
    CANCEL_OTHER = "cancel_other"
    #: its run begins beside the other
    ALLOW = "allow"


class CatchUp(StrEnum):
    """What becomes of times that came while nobody was there to begin their runs."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Rules:
    """
    When a schedule's runs begin, and what else decides that.

    Durations are seconds; *until* is unix seconds, 0 for no end; *max_runs* 0 for any number.
    """

    times: Times
    jitter_s: float = 0.0
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_within_s: float = WITHIN_S
    until: float = 0.0
    max_runs: int = 0
    pause_on_failure: bool = False

    def next_after(self, moment: float) -> float | None:
        """Give the first time after *moment* that *until* leaves; None when there is none."""
        nominal = after(self.times, moment)
        return None if nominal is None or self._is_past(nominal) else nominal

    def _is_past(self, nominal: float) -> bool:
        return 0 < self.until < nominal

    def as_dict(self) -> dict[str, Any]:
        """Write the rules; those at their default are left out."""
        written = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "times" and getattr(self, field.name) != field.default
        }
        plain = {name: str(it) if isinstance(it, StrEnum) else it for name, it in written.items()}
        return {"times": self.times.as_dict(), **plain}


def read_rules(written: object) -> Rules:
    """Read rules as `Rules.as_dict` writes them; raises InvalidOption for anything else."""
    try:
        given = dict(written)  # type: ignore[call-overload]
        given["times"] = read_times(given["times"])
        for name, kind in (("overlap", Overlap), ("catch_up", CatchUp)):
            if name in given:
                given[name] = kind(given[name])
        return check_rules(Rules(**given))
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidOption(f"{shown(written)} is no schedule's rules") from error


def check_rules(rules: Rules) -> Rules:
    """Give *rules* back if they can be kept, else raise InvalidOption."""
    if rules.jitter_s < 0 or rules.catch_up_within_s < 0 or rules.until < 0:
        raise InvalidOption("jitter, catch_up_within and until of a schedule cannot be negative")
    check_count("max_runs", rules.max_runs)
    return rules


def read_overlap(overlap: object, catch_up: CatchUp) -> Overlap:
    """
    Read an overlap policy by name.

    Without one it is `skip`; where all missed times are made up for it is `buffer_all`, for the
    first of them would otherwise keep the rest out. Raises InvalidOption.
    """
    if overlap is None:
        return Overlap.BUFFER_ALL if catch_up is CatchUp.ALL else Overlap.SKIP
    return _read(Overlap, "overlap", overlap)


def read_catch_up(catch_up: object) -> CatchUp:
    """Read a catch-up policy by name; raises InvalidOption."""
    return _read(CatchUp, "catch_up", catch_up)


def _read(kind: type[K], what: str, value: object) -> K:
    try:
        return kind(str(value))
    except ValueError:
        raise InvalidOption(f"{what} is {shown(value)}; use {', '.join(kind)}") from None


def check_schedule_id(schedule_id: object) -> str:
    """Return *schedule_id* if it can be one, else raise InvalidName."""
    if isinstance(schedule_id, str) and _ID.fullmatch(schedule_id):
        return schedule_id
    raise InvalidName("schedule", schedule_id, "use 1 to 60 letters, digits, '_' or '-'")

"""Which limits a run has: for each its name, the key it counts for, and how many units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

from stepflow.core.ids import check_text
from stepflow.errors import InvalidName, InvalidOption, shown
from stepflow.times import in_words

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
#: what a key may have as it is; `store/lua/lib/ids.lua` has the same
_SAFE = "_.:@-"
#: limits that one run may have
MOST_USES = 8
#: units that one run may stand for
MOST_UNITS = 1_000_000_000


class LimitUse(NamedTuple):
    """One limit of a run: the *key* it counts for, and for how many *units* of its rate."""

    name: str
    key: str = ""
    units: int = 1

    @property
    def label(self) -> str:
        """The limit with its key, as people write it: `stripe[acme]`."""
        return label_of(self.name, self.key)


def label_of(name: str, key: str) -> str:
    """Write a limit with a key as people do."""
    return f"{name}[{key}]" if key else name


def split_label(label: str) -> tuple[str, str]:
    """Read limit and key back from `stripe[acme]`; raises InvalidName."""
    given: object = label
    if not isinstance(given, str):
        raise InvalidName("limit", given, "write it as NAME or NAME[KEY]")
    name, bracket, rest = given.partition("[")
    if bracket and not rest.endswith("]"):
        raise InvalidName("limit", label, "write it as NAME or NAME[KEY]")
    return check_limit_name(name), check_key(rest[:-1]) if bracket else ""


def check_limit_name(name: object) -> str:
    """Return *name* if a limit can be called so, else raise InvalidName."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidName(
        "limit", name, "use 1 to 64 letters, digits, '_', '.' or '-', not starting with a sign"
    )


def check_key(key: object) -> str:
    """Return *key* if a limit can count for it, else raise InvalidOption."""
    return check_text("the key of a limit", key, least=0)


def check_units(units: object) -> int:
    """Return *units* if a run can stand for so many, else raise InvalidOption."""
    if isinstance(units, int) and not isinstance(units, bool) and 1 <= units <= MOST_UNITS:
        return units
    msg = f"units of a limit are {shown(units)}; they are a whole number, 1 to {MOST_UNITS:,}"
    raise InvalidOption(msg)


def write_uses(uses: Sequence[LimitUse]) -> str:
    """Write the limits of a run as its record has them."""
    if len(uses) > MOST_USES:
        msg = f"a run has {len(uses)} limits; at most {MOST_USES} can count for one"
        raise InvalidOption(msg)
    return "\n".join(f"{use.name}|{write_key(use.key)}|{use.units}" for use in uses)


def read_uses(written: str) -> list[LimitUse]:
    """Read the limits of a run; what is none is left out."""
    found = []
    for line in written.splitlines():
        name, _, rest = line.partition("|")
        key, _, units = rest.partition("|")
        if _NAME.fullmatch(name) and units.isdecimal():
            found.append(LimitUse(name, unquote(key), int(units)))
    return found


def write_key(key: str) -> str:
    """Write a key as the names of keys in Redis have it."""
    return quote(key, safe=_SAFE)


def split_limited(limited: str) -> tuple[str, str]:
    """Read limit and key back from `<limit>|<key>`, as indexes have it."""
    name, _, key = limited.partition("|")
    return name, unquote(key)


def run_of_place(place: str) -> str:
    """Name the run that has a place in a line or a slot, itself or for a step of it."""
    return place.partition("/")[0]


def is_of_step(place: str) -> bool:
    """Say whether a place in a line or a slot is a step's."""
    return "/" in place


class Held(NamedTuple):
    """What a run waits for in line: a limit and its key, and since when (unix seconds)."""

    name: str
    key: str
    since: float


def read_held(written: str) -> Held | None:
    """Read what a run waits for, None for nothing."""
    limited, _, since = written.rpartition("|")
    try:
        return Held(*split_limited(limited), float(since)) if limited else None
    except ValueError:
        return None


def held_in_words(written: str) -> str | None:
    """Say what a run waits for in line, None where that cannot be read."""
    held = read_held(written)
    if held is None:
        return None
    return f"its turn in limit {label_of(held.name, held.key)}, since {in_words(held.since)}"

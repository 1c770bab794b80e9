"""The durabilities there are: what is asked before a caller is told that a write is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from stepflow.errors import InvalidOption, shown

if TYPE_CHECKING:  # the command line loads this for every verb
    from stepflow.settings import Settings

#: where a write must be before it counts as done, the weakest first
Durability = Literal["memory", "everysec", "fsync", "replicated"]
#: those for which nothing is waited for
UNCONFIRMED = frozenset({"memory", "everysec"})


def read_durability(given: object, what: str) -> Durability:
    """Check a durability; raises InvalidOption, which names *what* has it."""
    for known in get_args(Durability):
        if given == known:
            return known  # type: ignore[no-any-return]
    msg = f"{what} is {shown(given)}; it is one of {', '.join(map(repr, get_args(Durability)))}"
    raise InvalidOption(msg)


def at_durability(settings: Settings, given: object) -> Settings:
    """Give the settings with another durability; raises InvalidOption for one that is none."""
    found = read_durability(given, "durability of the app")
    return settings.model_copy(update={"durability": found})


def embedded_appendfsync(settings: Settings) -> Literal["always", "everysec"]:
    """Give how the embedded server syncs: each write where every write waits for that."""
    return "everysec" if settings.durability in UNCONFIRMED else "always"


def strongest(given: Sequence[Durability]) -> Durability | None:
    """Give the strongest of some durabilities, None of none; raises InvalidOption."""
    order = get_args(Durability)
    return max(
        (read_durability(each, "durability of submit_many") for each in given),
        key=order.index,
        default=None,
    )

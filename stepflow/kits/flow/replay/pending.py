"""What a workflow has asked for and has no answer to yet, by place; keyed steps by their key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from stepflow.kits.flow.replay.journal import Entry
from stepflow.kits.flow.replay.keyed import KEYED, Keyed

if TYPE_CHECKING:
    from stepflow.kits.flow.commands.command import Wish
    from stepflow.kits.flow.replay.compensations import Ledger


class Wishes:
    """The wishes of one activation. *dropped* is called with each that the workflow no longer wants."""

    def __init__(self, ledger: Ledger, dropped: Callable[[Wish], None]) -> None:
        self._by_place: dict[str, Wish] = {}
        self._fresh: list[Wish] = []
        self._ledger = ledger
        self._dropped = dropped
        self.keyed = Keyed()

    def __iter__(self) -> Iterator[Wish]:
        return iter(self._by_place.values())

    def take_in(self, wish: Wish) -> None:
        """Take in what the workflow asks for; a keyed wish may be answered at once."""
        if wish.place.startswith(KEYED) and self._finds(wish):
            return
        self._by_place[wish.place] = wish
        self._fresh.append(wish)
        wish.future.add_done_callback(lambda done: self._dropped(wish) if done.cancelled() else None)

    def _finds(self, wish: Wish) -> bool:
        """Answer a keyed wish by what is remembered, or have it ask again when the one open at its key is done."""
        first = self._by_place.get(wish.place)
        if first is not None and first.is_open:
            first.future.add_done_callback(lambda _: None if wish.future.done() else self.take_in(wish))
            return True
        if first is not None:  # cancelled; its entry, on the way already, is for this one
            wish.is_busy = wish.is_writing = first.is_writing
        return self.keyed.answer(wish, self._ledger)

    def at(self, place: str) -> Wish | None:
        """Give the wish at *place*."""
        return self._by_place.get(place)

    def wanted_by(self, entry: Entry, *, has_ended: bool) -> tuple[Wish | None, str]:
        """
        Give the wish that a remembered fact belongs to, or say in words that there is another or none.

        One of a keyed step that nobody asks for yet is kept until somebody does: no wish, and nothing to say.
        """
        wish = self._by_place.get(entry.place)
        if entry.place.startswith(KEYED):
            self.keyed.keep(entry, is_asked_for=wish is not None)
            return wish, ""
        if wish is None:
            now = "the function ends before it" if has_ended else "nothing is asked for there"
            return None, f"remembered {entry.kind} {entry.name!r} at place {entry.place}, now {now}"
        if entry.name != wish.name or entry.kind not in wish.fits:
            now = f"{wish.what} {wish.name!r}"
            return None, f"at place {entry.place} remembered {entry.kind} {entry.name!r}, now {now}"
        return wish, ""

    def remove(self, place: str) -> None:
        """Take away the wish at *place*: it has its answer."""
        del self._by_place[place]

    def open(self) -> list[Wish]:
        """Give those that the workflow still wants."""
        return [wish for wish in self._by_place.values() if wish.is_open]

    def fresh(self) -> list[Wish]:
        """Give those taken in since this was asked last: nothing was done for them yet."""
        fresh, self._fresh = self._fresh, []
        return fresh

    @property
    def has_fresh(self) -> bool:
        """Whether something was asked for that nothing was done for yet."""
        return bool(self._fresh)

    def is_busy(self) -> bool:
        """Whether a try or a write for one of them is under way."""
        return any(wish.is_busy for wish in self._by_place.values())

    def leave(self) -> None:
        """Drop them all."""
        for wish in self._by_place.values():
            wish.drop()
        self._by_place.clear()

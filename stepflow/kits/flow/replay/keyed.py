"""Keyed steps: known by their key alone, wherever they stand."""

from __future__ import annotations

from stepflow.core.journal import KEYED, Entry, EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.replay.compensations import CompensationStack


class Keyed:
    """
    What the journal holds of keyed steps, by place: handed over, or kept until it is asked for.

    A second step with the same key is answered from here at once, and a failed attempt counts for
    all steps of its key.
    """

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = {}
        #: places of values that nobody has asked for yet
        self._unasked: set[str] = set()
        #: how often each place was forgotten
        self._forgotten: dict[str, int] = {}

    def keep(self, entry: Entry, *, is_asked_for: bool) -> None:
        """Take in a remembered fact."""
        self._entries.setdefault(entry.place, []).append(entry)
        if not is_asked_for and entry.kind is EntryKind.VALUE:
            self._unasked.add(entry.place)

    def forget(self, key: str) -> None:
        """
        Drop what is remembered under *key*.

        A step on another queue has a second entry, its end.
        """
        place = KEYED + key
        self._forgotten[place] = self._forgotten.get(place, 0) + 1
        for each in (place, f"{place}.end"):
            self._entries.pop(each, None)
            self._unasked.discard(each)

    def occurrence(self, place: str) -> str:
        """Name what is done at *place* now: another thing each time after it was forgotten."""
        count = self._forgotten.get(place)
        return f"{place}#{count}" if count else place

    def answer_of(self, command: Command) -> Entry | None:
        """Give the entry that answers *command*, as far as its key is remembered."""
        return next(
            (
                entry
                for entry in self._entries.get(command.place, ())
                if entry.kind in (EntryKind.VALUE, EntryKind.ERROR)
            ),
            None,
        )

    def resolve(self, command: Command, compensations: CompensationStack) -> bool:
        """
        Answer *command* with what is remembered under its key; False when that is no answer yet.

        The value goes onto *compensations* once.
        """
        for entry in self._entries.get(command.place, ()):
            if command.is_resolved_by(entry):
                if command.place in self._unasked:
                    self._unasked.remove(command.place)
                    compensations.push(command, entry.data)
                command.resolve(entry)
                return True
        return False

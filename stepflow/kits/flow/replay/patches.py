"""Patches: which way a run takes at a change of its code."""

from __future__ import annotations

from collections.abc import Iterable

from stepflow.core.journal import Entry, EntryKind


class Patches:
    """The patches that a run was asked about, and those its journal remembers as taken."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._chosen = {entry.name: True for entry in entries if entry.kind is EntryKind.PATCH}

    def choose(self, name: str, *, is_live: bool) -> tuple[bool, bool]:
        """
        Say whether the run takes the new way at *name*, and whether to remember that now.

        A run that comes by live for the first time takes it. One that had gone past without it
        keeps to the old way, also where it comes by again later.
        """
        is_first = name not in self._chosen
        is_new = self._chosen.setdefault(name, is_live)
        return is_new, is_new and is_first

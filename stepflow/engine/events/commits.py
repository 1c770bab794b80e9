"""Which scopes of a run's output are committed: read from its step records, or from its journal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from stepflow.core.journal import EntryKind, split
from stepflow.core.step_record import StepRecord, closed_name
from stepflow.engine.env import Env
from stepflow.store.calls import batch
from stepflow.store.events.records import load_entries, load_first_entry, load_step_records

#: how a scope of a workflow is named: [restarts/]place[#how often its key was forgotten]
_SCOPE = re.compile(r"(?:(\d+)/)?(.*?)(?:#(\d+))?", re.DOTALL)
#: outcomes that commit nothing
_FAILED = {"raised", "lost"}


class Commits:
    """What is known of the commits of one run; `look` learns of more."""

    def __init__(self, run_id: str, env: Env) -> None:
        self._run_id = run_id
        self._env = env
        self._committed: set[str] = set()
        #: journal entries read, by the restart they belong to; values by their place
        self._restarts = self._read = 0
        self._values: Counter[str] = Counter()

    def have(self, scope: str | None) -> bool:
        """Whether *scope* is committed; what has none is."""
        return scope is None or scope in self._committed

    async def look(self, scopes: Collection[str]) -> None:
        """Learn which of *scopes* are committed by now."""
        wanted = [scope for scope in scopes if scope not in self._committed]
        if not wanted:
            return
        if await self._look_at_journal():
            self._committed.update(scope for scope in wanted if self._has_value(scope))
        else:
            await self._look_at_steps(wanted)

    async def _look_at_steps(self, scopes: list[str]) -> None:
        names = [closed_name(int(scope)) if scope.isdigit() else scope for scope in scopes]
        records = await load_step_records(self._env.keys, self._run_id, names)
        for scope, written in zip(scopes, records, strict=True):
            try:
                outcome = "" if written is None else StepRecord.read(written).outcome
            except ValueError:
                continue
            if outcome and outcome not in _FAILED:
                self._committed.add(scope)

    async def _look_at_journal(self) -> bool:
        """Read what is new in the journal; False for a run that has none: it is no workflow."""
        keys, run_id = self._env.keys, self._run_id
        first, entries = await batch(
            load_first_entry(keys, run_id), load_entries(keys, run_id, self._read)
        )
        restarts = _restarts_in(first)
        if restarts != self._restarts:
            self._restarts, self._read = restarts, 0
            self._values.clear()
            entries = await load_entries(keys, run_id, 0)
        self._read += len(entries)
        for entry in entries:
            try:
                kind, place, *_ = split(entry)
            except ValueError:
                continue
            if kind == EntryKind.VALUE:
                self._values[place] += 1
        return first is not None

    def _has_value(self, scope: str) -> bool:
        found = _SCOPE.fullmatch(scope)
        if found is None:
            return False
        restarts, place, forgotten = int(found[1] or 0), found[2], int(found[3] or 0)
        # what an earlier history has left uncommitted was declared void at its end
        return restarts < self._restarts or self._values[place] > forgotten


def _restarts_in(first: bytes | None) -> int:
    """Read how often the run has continued as new from the first entry of its journal."""
    try:
        kind, _, name, *_ = split(first or b"")
    except ValueError:
        return 0
    return int(name) if kind == EntryKind.START and name.isdecimal() else 0

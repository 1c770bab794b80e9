"""
Ends of runs are written into the archive, many at once, and Redis may forget the runs then.

They wait as notes in Redis. Who takes some has them for a while; what is left by one that dies
comes again, and each end counts once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from stepflow.archive.archive import Archive
from stepflow.archive.collect import Collected, collect_end
from stepflow.core.run import RunOutcome
from stepflow.engine.env import Env
from stepflow.engine.hooks.ended import read_note
from stepflow.engine.outbox import refused_end
from stepflow.errors import StepflowError, UnreadableValue
from stepflow.settings import ArchiveSettings
from stepflow.store.calls import together
from stepflow.store.connection.sync import SyncCaller, carry_out
from stepflow.store.hooks import tell_noted
from stepflow.store.runs.to_archive import ends_key, forget_ends, put_back, take_ends
from stepflow.worker.archiving.refused import AWAY, REDIS, releasing

log = logging.getLogger("stepflow.archive")

#: seconds, beyond a statement's time limit, for which nobody else gets what was taken
_SPARE_S = 30.0
#: seconds until a note that cannot be read is looked at again: another worker may have its key
UNREADABLE_S = 300.0
#: bytes of runs that are read at once, as Redis keeps them: documents and rows take some times that
MOST_BYTES = 16 * 2**20


class _Taken(NamedTuple):
    """A note that was taken, and what it says."""

    note: bytes
    outcome: RunOutcome

    @property
    def back(self) -> tuple[bytes, float]:
        """Where it stood: since its end."""
        ended = self.outcome.ended_at
        return self.note, 0.0 if ended is None else ended.timestamp()


class Carrier:
    """
    Carries ends of one name space into its archive; each call is safe to repeat.

    Use it from one thread at a time.
    """

    def __init__(self, env: Env, connection: SyncCaller, settings: ArchiveSettings) -> None:
        self._env = env
        self._connection = connection
        self._settings = settings
        self._opened: Archive | None = None
        #: bytes that the runs read last had, on average; None before the first
        self._size: float | None = None

    @property
    def _archive(self) -> Archive:
        """The archive; raises ArchiveMisconfigured each time that it cannot be used."""
        if self._opened is None:
            self._opened = Archive(self._settings, self._env.keys.namespace)
        return self._opened

    def close(self) -> None:
        """Close the connections to the archive."""
        if self._opened is not None:
            self._opened.close()

    def ping(self) -> None:
        """Ask whether the archive is there, or raise."""
        self._archive.ping()

    def carry(self) -> int:
        """
        Archive the oldest ends that wait, as many as one batch has; gives how many were taken.

        Raises ArchiveUnreachable or ArchiveMisconfigured, and leaves the ends to be taken again.
        """
        env, settings = self._env, self._settings
        call = take_ends(
            env.keys, now=env.clock.now(), limit=settings.batch,
            lease_s=settings.statement_timeout_s + _SPARE_S,
        )  # fmt: skip
        notes = self._connection.call(call)
        taken = self._read(notes)
        try:
            self._carry(taken)
        except AWAY:
            self._connection.call(put_back(env.keys, [each.back for each in taken]))
            raise
        return len(notes)

    def _read(self, notes: Sequence[bytes]) -> list[_Taken]:
        """Read notes; those that cannot be read are put off, and said."""
        taken, unreadable, problem = [], [], ""
        for note in notes:
            try:
                taken.append(_Taken(note, read_note(note)))
            except UnreadableValue as error:
                unreadable.append(note)
                problem = str(error)
        if unreadable:
            log.error(
                "%s ends that wait to be archived cannot be read: %s; looked at again in %g s",
                len(unreadable), problem, UNREADABLE_S,
            )  # fmt: skip
            at = self._env.clock.now() + UNREADABLE_S
            self._connection.call(put_back(self._env.keys, [(note, at) for note in unreadable]))
        return taken

    def _carry(self, taken: Sequence[_Taken]) -> None:
        """
        Archive a batch; where one end is refused, each by itself, so that it stops no other.

        So is one that cannot even be read or written down, whatever that raises.
        """
        if not taken:
            return
        try:
            self._archive_all([each.outcome for each in taken])
        except (*AWAY, *REDIS):
            raise
        except Exception as error:  # noqa: BLE001  it is said, and stays with the end
            if len(taken) == 1:
                self._leave_refused(taken[0], error)
                return
            for each in taken:
                self._carry([each])
            return
        self._connection.call(forget_ends(self._env.keys, [each.note for each in taken]))

    def _archive_all(self, outcomes: Sequence[RunOutcome]) -> None:
        """
        Read the runs of a batch, write their ends in one transaction, let the runs go.

        Of large runs only so many at once as MOST_BYTES are, by what those before had: the first
        of a process by itself, so that one that has died of too much goes on.
        """
        at = 0
        while at < len(outcomes):
            fit = 1 if self._size is None else max(1, int(MOST_BYTES / self._size))
            found = self._collect(outcomes[at : at + fit])
            at += fit
            self._size = 1.0 + sum(each.size for each in found) / len(found)
            self._archive.write([each.end for each in found])
            runs = [each.run for each in found if each.run is not None]
            if runs:
                self._connection.calls([releasing(run, self._env) for run in runs])

    def _collect(self, outcomes: Sequence[RunOutcome]) -> list[Collected]:
        secrets = self._settings.redact
        plans = [collect_end(outcome, self._env, secrets) for outcome in outcomes]
        return carry_out(self._connection, together(plans))

    def _leave_refused(self, taken: _Taken, error: Exception) -> None:
        """Have an end that the database refuses tried again by the schedule of hooks."""
        env, now = self._env, self._env.clock.now()
        is_fault = not isinstance(error, StepflowError)
        log.error("run=%s cannot be archived: %s", taken.outcome.run_id, error, exc_info=is_fault)
        hooks = refused_end(taken.outcome, env, now)
        self._connection.call(tell_noted(env.keys, ends_key(env.keys), taken.note, hooks, now=now))

"""What both clients read of a run beside its steps, for who looks closely."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.client.doing import AsyncDoing, Doing
from stepflow.core.output import OutputItem
from stepflow.core.run import RunStatus
from stepflow.engine.questions import Question, questions_of
from stepflow.engine.status import statuses
from stepflow.engine.timeline.beside import (
    JournalPage,
    Mail,
    journal_page,
    mailbox,
    newest_output,
)


class Beside(Doing):
    """What `Client` reads of a run for who looks closely."""

    def statuses(self, run_ids: Sequence[str]) -> Sequence[RunStatus]:
        """Return the status of each run that there is, without payload, result, error, headers."""
        return self._do(statuses(run_ids, self.env))

    def questions_of(self, run_id: str) -> Sequence[Question]:
        """Return the questions that the run asks people now, the oldest first."""
        return self._do(questions_of(run_id, self.env))

    def mailbox(self, run_id: str, *, limit: int = 50) -> Sequence[Mail]:
        """Return the signals that the run has not taken yet, the oldest first."""
        return self._do(mailbox(run_id, self.env, limit=limit))

    def newest_output(self, run_id: str, *, limit: int = 100) -> Sequence[OutputItem]:
        """Return the newest items that the run has emitted, the oldest of them first."""
        return self._do(newest_output(run_id, self.env, limit=limit))

    def journal(self, run_id: str, *, first: int = 0, limit: int = 100) -> JournalPage:
        """Return entries of the run's journal, from number *first* on, as `history` shows them."""
        return self._do(journal_page(run_id, self.env, first=first, limit=limit))


class AsyncBeside(AsyncDoing):
    """What `AsyncClient` reads of a run for who looks closely."""

    async def statuses(self, run_ids: Sequence[str]) -> Sequence[RunStatus]:
        """See Client.statuses."""
        return await self._do(statuses(run_ids, self.env))

    async def questions_of(self, run_id: str) -> Sequence[Question]:
        """See Client.questions_of."""
        return await self._do(questions_of(run_id, self.env))

    async def mailbox(self, run_id: str, *, limit: int = 50) -> Sequence[Mail]:
        """See Client.mailbox."""
        return await self._do(mailbox(run_id, self.env, limit=limit))

    async def newest_output(self, run_id: str, *, limit: int = 100) -> Sequence[OutputItem]:
        """See Client.newest_output."""
        return await self._do(newest_output(run_id, self.env, limit=limit))

    async def journal(self, run_id: str, *, first: int = 0, limit: int = 100) -> JournalPage:
        """See Client.journal."""
        return await self._do(journal_page(run_id, self.env, first=first, limit=limit))

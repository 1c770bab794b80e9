"""How both clients send signals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stepflow.client.base import BaseClient
from stepflow.client.doing import AsyncDoing, Doing
from stepflow.core.chats import SAY
from stepflow.core.ids import check_text
from stepflow.engine.signal import Keep, signal, signal_or_start
from stepflow.engine.spec import RunSpec
from stepflow.engine.steering.audit import noted
from stepflow.engine.submit import Submitted
from stepflow.errors import InvalidOption, shown
from stepflow.store.calls import Plan
from stepflow.store.journal import STARTED

#: characters that may be said at once
_LONGEST_WORDS = 100_000


class _Starting(BaseClient):
    """Sends signals to runs that may have to be started."""

    def _signal(
        self,
        run_id: str,
        name: str,
        payload: Any,
        dedup: str | None,
        keep: Keep,
        start: RunSpec | None,
        by: str | None,
    ) -> Plan[str]:
        if start is None:
            plan = signal(run_id, name, payload, dedup, self.env, keep=keep)
        else:
            plan = self._signal_or_start(run_id, name, payload, dedup, keep, start)
        return noted(plan, "signal", run_id, by, name)

    async def _signal_or_start(
        self,
        run_id: str,
        name: str,
        payload: Any,
        dedup: str | None,
        keep: Keep,
        start: RunSpec,
    ) -> str:
        if not isinstance(start, RunSpec):
            raise InvalidOption(f"start of a signal is {shown(start)}; it is a RunSpec")
        if start.run_id not in (None, run_id):
            msg = (
                f"the signal is for run {run_id!r}, and start is the RunSpec of {start.run_id!r}; "
                "leave run_id out of it"
            )
            raise InvalidOption(msg)
        spec, _ = self._named(replace(start, run_id=run_id), "client.signal")
        [spec] = await self.versions.choose(self._checked([spec]), self.env)
        if self._telemetry is None:
            answer = await signal_or_start(spec, name, payload, dedup, self.env, keep=keep)
        else:
            with self._telemetry.trace_submit([spec]) as sending:
                [spec] = sending.specs
                answer = await signal_or_start(spec, name, payload, dedup, self.env, keep=keep)
                sending.note_ids([run_id])
        self._observed([spec], [Submitted(run_id, created=answer == STARTED)])
        return answer

    def _say(
        self, conversation: str, text: str, chat: str | None, dedup: str | None, by: str | None
    ) -> Plan[str]:
        check_text("what you say", text, most=_LONGEST_WORDS)
        start = None if chat is None else RunSpec(chat, 0, on_conflict="restart")
        return self._signal(conversation, SAY, {"text": text}, dedup, "all", start, by)


class Signals(_Starting, Doing):
    """How `Client` sends signals."""

    def signal(
        self,
        run_id: str,
        name: str,
        payload: Any = None,
        *,
        dedup: str | None = None,
        keep: Keep = "all",
        start: RunSpec | None = None,
        by: str | None = None,
    ) -> str:
        """
        Send a signal to the run.

        Return "delivered" when the run was waiting or running, else "buffered": the signal waits in
        the run's mailbox. Sending the same *dedup* again changes nothing. With *keep* "latest" the
        signal takes the place of those of its name that the run has not taken yet.

        With *start*, a run that is not there is submitted, in one write with its signal; then
        return "started". An ended one is started again if *start* says `on_conflict="restart"`. A
        live one gets the signal whatever its input is.

        Raises RunNotFound, SignalRefused for a run that has ended, SignalMisfit when the run waits
        for this signal with a type that the payload does not fit, MailboxFull, and RunConflict when
        the run is of another runner than *start*.
        """
        return self._do(self._signal(run_id, name, payload, dedup, keep, start, by))

    def say(
        self,
        conversation: str,
        text: str,
        *,
        chat: str | None = None,
        dedup: str | None = None,
        by: str | None = None,
    ) -> str:
        """
        Say something in a conversation of `app.chat`; return what `signal` does.

        With *chat*, the name of a kind of conversation, one that is not there begins. The answer
        comes in `client.output(conversation)`, under topic `chat`. Saying the same *dedup* again
        changes nothing. Two words at once are both answered, in order.
        """
        return self._do(self._say(conversation, text, chat, dedup, by))


class AsyncSignals(_Starting, AsyncDoing):
    """How `AsyncClient` sends signals."""

    async def signal(
        self,
        run_id: str,
        name: str,
        payload: Any = None,
        *,
        dedup: str | None = None,
        keep: Keep = "all",
        start: RunSpec | None = None,
        by: str | None = None,
    ) -> str:
        """See Client.signal."""
        return await self._do(self._signal(run_id, name, payload, dedup, keep, start, by))

    async def say(
        self,
        conversation: str,
        text: str,
        *,
        chat: str | None = None,
        dedup: str | None = None,
        by: str | None = None,
    ) -> str:
        """See Client.say."""
        return await self._do(self._say(conversation, text, chat, dedup, by))

"""The part of `ctx` that waits: for a time, for a signal, for people."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.ids import check_text
from stepflow.core.outcomes import LONGEST_TEXT
from stepflow.engine.signal import check_signal
from stepflow.errors import InvalidOption
from stepflow.kits.flow.asks import AskWish
from stepflow.kits.flow.readers import Readers
from stepflow.kits.flow.replay import Activation
from stepflow.kits.flow.waits import SignalWish, SleepWish
from stepflow.kits.flow.wanted import Wanted, WantedAnswer
from stepflow.store.values.codec import pack
from stepflow.times import seconds, unix_time


class Waiting:
    """What a workflow waits by, each at a place of its own; `Context` is this and the rest."""

    def __init__(
        self, activation: Activation, *, headers: Mapping[str, str], policy: RetryPolicy, readers: Readers
    ) -> None:
        self._activation = activation
        self._policy = policy
        self._readers = readers
        self.run_id = activation.run.id
        self.headers = headers

    def sleep(self, duration: float | timedelta) -> asyncio.Future[None]:
        """Wait that long, held by nobody; the end is fixed once, a restart does not start it anew."""
        wait_s = seconds(duration, "the time of ctx.sleep")
        return self._activation.wish(SleepWish(self._place(), self._future(), wait_s))

    def sleep_until(self, moment: float | datetime) -> asyncio.Future[None]:
        """Wait until then (unix seconds or an aware datetime)."""
        wait_s = max(0.0, unix_time(moment, "the moment of ctx.sleep_until") - self._activation.port.now())
        return self._activation.wish(SleepWish(self._place(), self._future(), wait_s))

    def signal(
        self,
        *names: str,
        timeout: float | timedelta | None = None,
        type: Any = None,  # noqa: A002  the public face
    ) -> asyncio.Future[Any]:
        """
        Wait for the first signal of these names and give its payload, as *type*; None after *timeout*.

        A sender is refused what is not of that type while the run waits; one that came before is set aside.
        """
        if not names:
            msg = "ctx.signal needs a name to wait for"
            raise InvalidOption(msg)
        shown = ",".join(check_signal(name) for name in names)
        wait_s = None if timeout is None else seconds(timeout, "timeout of ctx.signal")
        what = f"signal {shown}"
        wanted = None if type is None else self._readers.known((what, type), lambda: Wanted(what, type))
        return self._activation.wish(SignalWish(self._place(), self._future(), names, wait_s, wanted))

    def ask(self, wanted: Any, prompt: str, timeout: float | timedelta | None = None) -> asyncio.Future[Any]:
        """
        Ask people and wait for their decision: `if await ctx.ask(bool, "Publish?", timeout=timedelta(days=3)):`.

        *wanted* is a type, as which the answer comes, or a JSON schema. It is listed by `client.asks` and answered once, by
        `client.answer`; None after *timeout*.
        """
        wait_s = None if timeout is None else seconds(timeout, "timeout of ctx.ask")
        check_text("the prompt of ctx.ask", prompt, most=LONGEST_TEXT, least=0)
        known_by = repr(wanted) if isinstance(wanted, Mapping) else wanted
        answer = self._readers.known(("ask", known_by), lambda: WantedAnswer(wanted))
        pack([prompt, answer.schema], what="what ctx.ask asks", limit=self._activation.port.limit)
        return self._activation.wish(AskWish(self._place(), self._future(), self._activation, answer, prompt, wait_s))

    def _place(self) -> str:
        return self._activation.loop.branch().next_place()

    def _future(self) -> asyncio.Future[Any]:
        return self._activation.loop.create_future()

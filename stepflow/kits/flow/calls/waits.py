"""`ctx.sleep`, `ctx.wait_for_signal` and `ctx.ask`: waits that keep no worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload

from stepflow.core.ids import check_text
from stepflow.core.outcomes import LONGEST_TEXT
from stepflow.engine.signal import check_signal
from stepflow.engine.user_code.callables import check_callable
from stepflow.errors import InvalidOption
from stepflow.kits.flow.calls.base import ContextBase, checked_name
from stepflow.kits.flow.calls.functions import check_call
from stepflow.kits.flow.commands.expected import ExpectedAnswer, ExpectedType
from stepflow.kits.flow.commands.question import (
    Asked,
    Notice,
    QuestionCommand,
    as_asked,
    ask_and_notify,
)
from stepflow.kits.flow.commands.sleep_and_signal import SignalCommand, SleepCommand
from stepflow.kits.flow.step_options import options_of, step_name
from stepflow.store.values.codec import pack
from stepflow.times import seconds, unix_time

T = TypeVar("T")


class WaitCalls(ContextBase):
    """Waits for a time, a signal or an answer."""

    def sleep(self, duration: float | timedelta) -> asyncio.Future[None]:
        """
        Wait for *duration* (seconds or timedelta), without occupying a worker.

        The end of the wait is recorded when it starts, so a crash does not prolong it.
        """
        wait_s = seconds(duration, "the time of ctx.sleep")
        return self._activation.start(
            SleepCommand(self._activation.next_place(), self._activation.create_future(), wait_s)
        )

    def sleep_until(self, moment: float | datetime) -> asyncio.Future[None]:
        """Wait until *moment* (unix seconds or an aware datetime), without occupying a worker."""
        wait_s = max(
            0.0, unix_time(moment, "the moment of ctx.sleep_until") - self._activation.runtime.now()
        )
        return self._activation.start(
            SleepCommand(self._activation.next_place(), self._activation.create_future(), wait_s)
        )

    @overload
    def wait_for_signal(
        self, *names: str, type: type[T], timeout: None = None
    ) -> asyncio.Future[T]: ...
    @overload
    def wait_for_signal(
        self, *names: str, type: type[T], timeout: float | timedelta | None
    ) -> asyncio.Future[T | None]: ...
    @overload
    def wait_for_signal(
        self, *names: str, type: Any = None, timeout: float | timedelta | None = None
    ) -> asyncio.Future[Any]: ...
    def wait_for_signal(
        self,
        *names: str,
        timeout: float | timedelta | None = None,
        type: Any = None,  # noqa: A002  the public face
    ) -> asyncio.Future[Any]:
        """
        Wait for the first signal with one of these names, and return its payload as *type*.

        Returns None after *timeout* (seconds or timedelta). While the run waits, a payload that is
        not of that type is refused when it is sent. A signal that arrived before the wait and does
        not fit is skipped, with a warning in the worker's log.
        """
        if not names:
            msg = "ctx.wait_for_signal needs a name to wait for"
            raise InvalidOption(msg)
        what = f"signal {','.join(check_signal(name) for name in names)}"
        wait_s = None if timeout is None else seconds(timeout, "timeout of ctx.wait_for_signal")
        expected = None
        if type is not None:
            expected = self._readers.known((what, type), lambda: ExpectedType(what, type))
        return self._activation.start(
            SignalCommand(
                self._activation.next_place(),
                self._activation.create_future(),
                names,
                wait_s,
                expected,
            )
        )

    @overload
    def ask(
        self,
        wanted: type[T],
        prompt: str,
        timeout: None = None,
        *,
        notify: Callable[[str], Any] | None = None,
    ) -> Asked[T]: ...
    @overload
    def ask(
        self,
        wanted: type[T],
        prompt: str,
        timeout: float | timedelta | None,
        *,
        notify: Callable[[str], Any] | None = None,
    ) -> Asked[T | None]: ...
    @overload
    def ask(
        self,
        wanted: Any,
        prompt: str,
        timeout: float | timedelta | None = None,
        *,
        notify: Callable[[str], Any] | None = None,
    ) -> Asked[Any]: ...
    def ask(
        self,
        wanted: Any,
        prompt: str,
        timeout: float | timedelta | None = None,
        *,
        notify: Callable[[str], Any] | None = None,
    ) -> Asked[Any]:
        """
        Ask people a question, wait for the answer, and return it; None after *timeout*.

        `if await ctx.ask(bool, "Publish?", timeout=timedelta(days=3)):`. *wanted* is the type of
        the answer, or a JSON schema. `client.questions` lists open questions; `client.answer`
        answers one, once. What `ctx.ask` returns has the question's `token` before you await it.

        *notify* is a function that is called with the token, as a step, once the question is
        listed: to send a link. Where its attempts are used up, the question is withdrawn and
        StepFailed raised.
        """
        return self._ask(wanted, prompt, timeout, None if notify is None else self._notice(notify))

    def _ask(
        self, wanted: Any, prompt: str, timeout: float | timedelta | None, notice: Notice | None
    ) -> Asked[Any]:
        wait_s = None if timeout is None else seconds(timeout, "timeout of ctx.ask")
        check_text("the prompt of ctx.ask", prompt, most=LONGEST_TEXT, least=0)
        key = repr(wanted) if isinstance(wanted, Mapping) else wanted
        answer = self._readers.known(("ask", key), lambda: ExpectedAnswer(wanted))
        activation = self._activation
        limit = activation.runtime.limit
        pack([prompt, answer.schema], what="what ctx.ask asks", limit=limit, in_clear=True)
        place = activation.next_place()
        command = QuestionCommand(
            place, activation.create_future(), activation, answer, prompt, wait_s
        )
        if notice is None:
            asked = command.future = as_asked(command.future, command.token)
            activation.start(command)
            return asked
        return ask_and_notify(activation, command, notice)

    def _notice(self, notify: Callable[[str], Any]) -> Notice:
        """Say how *notify* is called; raises InvalidOption for what cannot be."""
        check_callable(notify, "notify of ctx.ask", "notify={}")
        name, own = checked_name(step_name(notify)), options_of(notify)
        check_call(name, notify, ("token",), {})
        return Notice(name, notify, own.retry or self._policy, own.timeout_s)

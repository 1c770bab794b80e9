"""Permits of circuit breakers, for the steps of one claimed run."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from stepflow.core.breakers.breaker import Breaker
from stepflow.core.breakers.permit import Permit, Verdict
from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.engine.observing.observers import tell as tell_app
from stepflow.engine.user_code.calls import error_info, escaped
from stepflow.errors import CircuitOpen, Postponed, ReplyLost
from stepflow.store.breakers.permits import (
    Refused,
    breaker_keys,
    settle_permit,
    take_permit,
    waits_for,
)
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.times import in_words
from stepflow.worker.runtime.ask import ask, tell
from stepflow.worker.runtime.waits import ClaimWaits

log = logging.getLogger("stepflow.breakers")

T = TypeVar("T")


class ClaimPermits:
    """
    Takes permits under the claim that *token* is of, and gives them back.

    A trial's permit needs no renewal: it lasts as long as the claim does.
    """

    def __init__(
        self,
        run: Run,
        token: str,
        env: Env,
        connection: AsyncCaller,
        loop: asyncio.AbstractEventLoop,
        loop_thread: int,
        waits: ClaimWaits,
    ) -> None:
        self._run = run
        self._token = token
        self._env = env
        self._connection = connection
        self._loop = loop
        self._loop_thread = loop_thread
        self._waits = waits

    async def take(self, breaker: Breaker, step: str = "") -> Permit:
        """
        Ask for a permit; raises Postponed or CircuitOpen when there is none now.

        A *step* that nobody wants any more waits no longer: else it would be waited for when the
        next trial is due.
        """
        waits = breaker.when_open == "wait"
        self._waits.note_ask(self._sets(breaker), step)
        call = take_permit(
            self._env.keys, breaker, self._run, self._token, self._env.request_id(),
            given=self._env.clock.given, waits=waits,
        )  # fmt: skip
        answer = await ask(
            self._connection, call, f"run={self._run.id} cannot ask breaker {breaker.name!r}",
            partial(self._give_back, breaker, step),
        )  # fmt: skip
        if isinstance(answer, Permit):
            return answer
        if not waits:
            raise CircuitOpen(breaker.name, answer.until, _why(answer))
        log.info(
            "run=%s waits for breaker %r, which is open %s; it asks again at %s at the latest",
            self._run.id, breaker.name, _why(answer), in_words(answer.again_at),
        )  # fmt: skip
        what = waits_for(breaker.name)
        give_up = self._waits.note_wait(self._sets(breaker), step, what, breaker.trials)
        raise Postponed(what, answer.again_at, answer.inbox, give_up=give_up)

    def settle(self, permit: Permit, breaker: Breaker, error: BaseException | None) -> None:
        """Give a permit back; sent at once, and not waited for. Any thread may call it."""
        error = None if error is None else escaped(error)
        verdict = breaker.judge(error)
        brief = (
            error_info(error).summary if error is not None and verdict is Verdict.FAILURE else ""
        )
        send = partial(self._send, permit, breaker, verdict, brief)
        if threading.get_ident() == self._loop_thread:
            send()
        else:
            self._loop.call_soon_threadsafe(send)

    def blocking(self, work: Coroutine[Any, Any, T]) -> T:
        """Do *work* on the loop while the thread of a plain function waits."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _send(self, permit: Permit, breaker: Breaker, verdict: Verdict, error: str) -> None:
        env = self._env
        call = settle_permit(
            env.keys, breaker, permit, verdict, error, given=env.clock.given, now=env.clock.now()
        )
        what = f"run={self._run.id} cannot tell breaker {breaker.name!r} how a call ended"
        tell(self._connection, call, what, _told(breaker, error))

    def _give_back(self, breaker: Breaker, step: str, answer: Permit | Refused) -> None:
        """Give back what came when nobody waited for it any more."""
        if isinstance(answer, Refused):
            what = waits_for(breaker.name)
            self._waits.leave(self._sets(breaker), step, what, breaker.trials)
        elif answer.is_trial:
            self._send(answer, breaker, Verdict.NOTHING, "")

    def _sets(self, breaker: Breaker) -> tuple[str]:
        return (breaker_keys(self._env.keys, breaker.name)["waiting"],)


def _told(breaker: Breaker, error: str) -> Callable[[asyncio.Future[str]], None]:
    """Make what reads the answer to a permit that was given back."""

    def read(sent: asyncio.Future[str]) -> None:
        if sent.cancelled():
            return
        problem = sent.exception()
        if problem is not None:
            if not isinstance(problem, ReplyLost):
                log.warning("breaker %r was not told how a call ended: %s", breaker.name, problem)
            return
        match sent.result():
            case "opened":
                log.warning(
                    "breaker %r has opened (%s); steps that have it wait, the next trial is in "
                    "%.3g s",
                    breaker.name, error, breaker.reset_s,
                )  # fmt: skip
                tell_app("on_circuit_open", breaker.name, error=error, reset_s=breaker.reset_s)
            case "closed":
                log.info("breaker %r has closed; those that wait come back", breaker.name)

    return read


def _why(refused: Refused) -> str:
    if refused.by:
        return f"by {refused.by}"
    if not refused.failures:
        return ""
    times = "1 failure" if refused.failures == 1 else f"{refused.failures} failures"
    kind = refused.error.partition(":")[0]
    return f"after {times}{f' ({kind})' if kind else ''}"

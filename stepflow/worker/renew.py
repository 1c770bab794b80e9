"""
The renewing thread: it renews claims even while user code blocks the loop.

It never renews one past what its step may take.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Self

from stepflow.core.run import StopKind
from stepflow.core.under_way import MOST_UNDER_WAY
from stepflow.engine.gate import one_by_one
from stepflow.errors import StepflowError
from stepflow.store.claims import renew_claims
from stepflow.store.connection.sync import SyncCaller
from stepflow.store.run_hash import read_stop
from stepflow.store.values.codec import pack
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.worker")

#: claims renewed in one script
CHUNK = 200
#: leases after which, with the grace, a worker whose loop is blocked ends
BLOCKED_LEASES = 4
#: seconds between heartbeats in RQ's worker hash
HEARTBEAT_S = 10.0
#: seconds between looks at whether the worker's condition is another one
CONDITION_S = 1.0
#: seconds, at most, before a renewal that was refused or not answered is tried again
AGAIN_S = 1.0


class Renewer:
    """
    Renews every claim of a worker three times in its lease, over a connection of its own.

    A claim is not renewed past its step's timeout plus grace, nor past its run's deadline plus
    grace: such a step is recovered elsewhere. The replies carry stops and inbox counts that the
    worker's channel may have missed.

    *others* lists (member, token) of further claims, those of hook deliveries. *on_blocked* is
    called in the thread when user code blocks the loop for good; *on_refused* on the loop, when
    Redis refused or did not answer.
    """

    def __init__(
        self,
        worker_state: WorkerState,
        connection: SyncCaller,
        *,
        others: Callable[[], list[tuple[str, str]]] = list,
        on_blocked: Callable[[], None] | None = None,
        on_refused: Callable[[], None] | None = None,
    ) -> None:
        self._worker_state = worker_state
        self._connection = connection
        self._others = others
        self._on_blocked = on_blocked
        self._on_refused = on_refused
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stepflow-renew", daemon=True)
        self._loop_thread = threading.get_ident()
        #: the steps, as (member, number), that were past their limit at the last renewal
        self._overdue: set[tuple[str, int]] = set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended, or after a second."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        every_s = self._worker_state.env.settings.worker.lease_s / 3
        pause_s = every_s
        while not self._over.wait(pause_s):
            pause_s = every_s
            if self._on_blocked is not None and self._is_blocked_for_good():
                log.error(
                    "the loop has not turned for too long; this worker ends, "
                    "all it holds runs again elsewhere"
                )
                self._on_blocked()
            try:
                self.renew()
            except StepflowError as error:
                log.warning("claims could not be renewed: %s", error)
                pause_s = min(every_s, AGAIN_S)
                if self._on_refused is not None:
                    self._call_on_loop(self._on_refused)
            except Exception:
                log.exception("the renewing thread met a fault and goes on")

    def _is_blocked_for_good(self) -> bool:
        """Say whether a step past its limit has blocked the loop for longer than others wait."""
        worker = self._worker_state.env.settings.worker
        still_s = time.monotonic() - self._worker_state.turned_at
        return (
            bool(self._overdue) and still_s > BLOCKED_LEASES * worker.lease_s + worker.stop_grace_s
        )

    def renew(self) -> None:
        """Renew once every claim that the worker has now."""
        claimed_runs = list(self._worker_state.runs.values())
        wanted: list[tuple[str, str, float]] = [
            (claimed.member, claimed.run.token, self._seconds(claimed)) for claimed in claimed_runs
        ]
        self._blame(
            [each for each, (_, _, left_s) in zip(claimed_runs, wanted, strict=True) if not left_s]
        )
        lease_s = self._worker_state.env.settings.worker.lease_s
        wanted += [(member, token, lease_s) for member, token in self._others()]
        for start in range(0, len(wanted), CHUNK):
            part = wanted[start : start + CHUNK]
            doing = [_news_of(claimed) for claimed in claimed_runs[start : start + CHUNK]]
            env = self._worker_state.env
            now, answers = self._connection.call(
                renew_claims(env.keys, part, given=env.clock.given, doing=doing)
            )
            self._worker_state.env.clock.learn(now)
            for claimed, claim, answer, told in zip(
                claimed_runs[start : start + CHUNK], part, answers, doing, strict=False
            ):
                claimed.inbox_watch.told = told or claimed.inbox_watch.told
                with one_by_one(f"run={claimed.run.id}"):
                    self._read_reply(claimed, claim[1], answer)

    def _read_reply(self, claimed: ClaimedRun, token: str, answer: Any) -> None:
        """Pass on what the reply says of a claim: lost, a stop, a pause, the size of the inbox."""
        if claimed.run.token != token:
            return
        if answer == 0:
            self._call_on_loop(self._lost, claimed, token)
            return
        if isinstance(answer, bytes):
            self._read_stop(claimed, answer)
            return
        seen = abs(answer) - 1
        if answer < 0 and not claimed.must_let_go:  # the messages that say so may have been lost
            self._call_on_loop(self._worker_state.let_go, claimed.run.id)
        if seen > claimed.inbox_watch.seen:
            claimed.inbox_watch.seen = seen
            self._call_on_loop(self._worker_state.notify_inbox, claimed.run.id)

    def _read_stop(self, claimed: ClaimedRun, written: bytes) -> None:
        try:
            stop = read_stop(written)
        except ValueError:  # whoever reads the record next sets the run aside
            log.warning(
                "run=%s: its field 'stop' holds %.60r, which asks for nothing",
                claimed.run.id,
                written,
            )
        else:
            self._call_on_loop(self._worker_state.stop, claimed.run.id, stop)

    def _lost(self, claimed: ClaimedRun, token: str) -> None:
        """
        Note a lost claim; called on the loop.

        Its own commit may have settled it while the reply was on its way.
        """
        if (
            self._worker_state.runs.get(claimed.run.id) is claimed
            and claimed.run.token == token
            and claimed.attempt.in_runner
        ):
            log.warning(
                "run=%s step=%s: this worker no longer holds it; its outcome will be dropped",
                claimed.run.id,
                claimed.run.step,
            )
            claimed.lose()

    def _call_on_loop(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._worker_state.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed: the worker has left
            self._over.set()

    def _seconds(self, claimed: ClaimedRun) -> float:
        """
        Say for how many seconds to renew.

        For a lease, or less where the step's timeout or the run's deadline comes first.
        """
        env, run = self._worker_state.env, claimed.run
        grace_s, left_s = env.settings.worker.stop_grace_s, env.settings.worker.lease_s
        step_until = claimed.attempt.step_until
        if step_until:
            left_s = min(left_s, step_until + grace_s - time.monotonic())
        if run.deadline_at and not run.cleans_up(StopKind.DEADLINE):
            left_s = min(left_s, run.deadline_at + grace_s - env.clock.now())
        return max(0.0, left_s)

    def _blame(self, overdue: Sequence[ClaimedRun]) -> None:
        """Log, once each, the steps that should have ended long ago, with the loop's stack."""
        steps = {(claimed.member, claimed.run.step): claimed for claimed in overdue}
        known, self._overdue = self._overdue, set(steps)
        for step, claimed in steps.items():
            if step not in known:
                self._log_overdue(claimed)

    def _log_overdue(self, claimed: ClaimedRun) -> None:
        # the one way to see another thread's stack
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        log.error(
            "run=%s step=%s is past its limit and its claim is not renewed any more; "
            "it will run again elsewhere. The worker's loop is at:\n%s",
            claimed.run.id,
            claimed.run.step,
            stack,
        )


def _news_of(claimed: ClaimedRun) -> bytes:
    """Say what is under way for a run, packed; nothing where that was told before."""
    watch, found = claimed.inbox_watch, claimed.under_way()[:MOST_UNDER_WAY]
    if not found:
        return b""
    news = pack([claimed.run.token, [list(each) for each in found]], in_clear=True)
    return b"" if news == watch.told else news


class HeartbeatThread:
    """
    Calls *heartbeat* every few seconds while it is entered, and when *condition* has changed.

    *look* is called once a second. One that hangs or fails holds up nothing else.
    """

    def __init__(
        self,
        heartbeat: Callable[[], None],
        condition: Callable[[], str],
        look: Callable[[], None],
    ) -> None:
        self._heartbeat = heartbeat
        self._condition = condition
        self._look = look
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stepflow-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """End the thread; returns when it has ended, or after a moment: it may hang."""
        self._over.set()
        self._thread.join(timeout=0.2)

    def _run(self) -> None:
        told, told_at = "", time.monotonic()
        while not self._over.wait(CONDITION_S):
            try:
                self._look()
            except StepflowError:  # Redis is away; whoever asked asks again
                log.debug("nobody was answered", exc_info=True)
            except Exception:
                log.exception("the thread of the heartbeat met a fault and goes on")
            condition, now = self._condition(), time.monotonic()
            if condition == told and now - told_at < HEARTBEAT_S:
                continue
            told, told_at = condition, now
            try:
                self._heartbeat()
            except Exception as error:  # noqa: BLE001  it fails in RQ's ways; the next one makes up for it
                log.warning(
                    "RQ could not be told that this worker lives (%s: %s)",
                    type(error).__name__,
                    error,
                )

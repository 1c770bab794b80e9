"""
Writes journal entries, each at its index.

Says when they are durable, in the order of the writes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from stepflow.core import probes
from stepflow.core.journal import Entry
from stepflow.core.run import Cleanup
from stepflow.engine import insist
from stepflow.engine.insist import say_refused
from stepflow.errors import RedisRefused
from stepflow.kits.flow.commands.host import Send
from stepflow.kits.flow.runtime import FlowRuntime, Settling


class _PendingWrite:
    """
    An entry on its way.

    *send* sends it, given its index; *then* is called with the reply once all up to it are durable.
    An entry that is known when it is sent says neither: see `JournalWriter._send` and `_answered`.
    """

    __slots__ = ("cleanup", "data", "entry", "index", "reply", "send", "settling", "then")

    def __init__(
        self,
        index: int,
        entry: Entry,
        data: bytes = b"",
        cleanup: Cleanup | None = None,
        settling: Settling | None = None,
        send: Callable[[int], asyncio.Future[Any]] | None = None,
        then: Callable[[Any], None] | None = None,
    ) -> None:
        self.index = index
        self.entry = entry
        self.data = data
        self.cleanup = cleanup
        self.settling = settling
        self.send = send
        self.then = then
        #: what the server said; false while it has said nothing yet, or refused
        self.reply: Any = None


class JournalWriter:
    """
    Keeps the journal's next index.

    *on_written* is called with each entry once it is durable, *on_refused* when the claim is
    another's now, *on_failed* with what Redis refuses for good. A take may or may not use up an
    index, so what is to be written meanwhile waits for it, as it does for the replay to end.
    *on_inbox* is called when more was put into the inbox than was known: what came after a command
    had looked must be looked for again before the run may park.

    While Redis refuses to write, entries are kept in their order: once all replies are in, the
    first is sent again every second, and when it is taken, the rest. What was sent behind a refused
    one is answered as a write under a lost claim is, so such a reply counts only where nothing
    before it is open.
    """

    def __init__(
        self,
        runtime: FlowRuntime,
        *,
        on_written: Callable[[Entry], None],
        on_refused: Callable[[], None],
        on_inbox: Callable[[], None],
        on_failed: Callable[[Exception], None],
    ) -> None:
        self._runtime = runtime
        self._context = copy_context()
        self._on_written = on_written
        self._on_refused = on_refused
        self._on_inbox = on_inbox
        self._on_failed = on_failed
        self._pending: deque[_PendingWrite] = deque()
        #: writes sent and not answered
        self._sent = 0
        #: set while writes are kept: why
        self._trouble: RedisRefused | None = None
        #: whether writes wait, for the trouble to pass or for the first of them to be taken
        self._is_held_up = False
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._is_taking = False
        self._is_replaying = True
        self._held_back: deque[Callable[[], None]] = deque()
        self.index = 0
        #: how much was ever put into the run's inbox, as far as is known
        self.inbox = runtime.run.inbox

    @property
    def is_taking(self) -> bool:
        """Whether a take is on its way: the next index is not known until it has come back."""
        return self._is_taking

    @property
    def is_busy(self) -> bool:
        """Whether something is on its way."""
        return bool(self._pending or self._held_back)

    def note_inbox(self, inbox: int) -> None:
        """Learn how much was ever put into the run's inbox."""
        if inbox > self.inbox:
            self.inbox = inbox
            self._on_inbox()

    def go_live(self) -> None:
        """Begin to write; what was chosen on the way here comes first."""
        self._is_replaying = False
        self._write_held_back()

    def close(self) -> None:
        """Write no more: the activation is over, and is not to be held by its writer."""
        self._is_over = True
        self._on_written = self._on_failed = self._on_refused = self._on_inbox = _tell_nobody
        if self._timer is not None:
            self._timer.cancel()

    def write(
        self, entry: Entry, cleanup: Cleanup | None = None, settling: Settling | None = None
    ) -> None:
        """
        Write an entry at the next index.

        *cleanup* is what the run has left to do from then on, None when the entry changes nothing
        there; *settling* what it settles in budgets.
        """
        if self._is_taking or self._is_replaying:
            self._held_back.append(lambda: self.write(entry, cleanup, settling))
            return
        self._send_next(_PendingWrite(self.index, entry, entry.write(), cleanup, settling))

    def write_computed(self, entry: Entry, send: Send) -> None:
        """Write an entry at the next index whose data is what the server answers to *send*."""
        if self._is_taking:
            self._held_back.append(lambda: self.write_computed(entry, send))
            return
        head = entry.head()
        self._send_next(
            _PendingWrite(
                self.index, entry, send=lambda index: send(index, head),
                then=lambda reply: self._written(entry.holding(reply[0])),
            )
        )  # fmt: skip

    def take(self, entry: Entry, send: Send, on_nothing: Callable[[], None]) -> None:
        """
        Have *send* take what there may be for *entry* and remember it, in one write.

        Its reply is [inbox, data], [inbox] when there is nothing, for which *on_nothing* is called,
        or [] when refused.
        """
        self._is_taking = True
        head = entry.head()
        write = _PendingWrite(
            self.index, entry, send=lambda index: send(index, head),
            then=lambda reply: self._taken(entry, reply, on_nothing),
        )  # fmt: skip
        self._pending.append(write)
        if not self._is_held_up:
            self._send(write)

    def _send_next(self, write: _PendingWrite) -> None:
        """Send an entry under the next index, which it takes."""
        probes.at("journal.ready")
        self.index += 1
        self._pending.append(write)
        if not self._is_held_up:
            self._send(write)

    def _send(self, write: _PendingWrite) -> None:
        self._sent += 1
        if write.send is None:  # each step passes here
            sent = self._runtime.add_entry(write.index, write.data, write.cleanup, write.settling)
        else:
            sent = write.send(write.index)
        # not in the context of the step that it may be called from
        context = self._context.copy()
        sent.add_done_callback(partial(self._answered, write), context=context)

    def _answered(self, write: _PendingWrite, done: asyncio.Future[Any]) -> None:
        self._sent -= 1
        if self._is_over:
            return
        problem = asyncio.CancelledError() if done.cancelled() else done.exception()
        if problem is None:
            write.reply = done.result()
        if not write.reply and not self._is_kept(write, problem):
            return
        while self._pending and self._pending[0].reply:
            write = self._pending.popleft()
            if write.then is None:
                self._written(write.entry)
            else:
                write.then(write.reply)
        if self._is_held_up and not self._sent:
            self._send_again()

    def _is_kept(self, write: _PendingWrite, problem: BaseException | None) -> bool:
        """Whether a write that was not taken is to be sent again; else it ends the activation."""
        if isinstance(problem, RedisRefused):
            if problem.passes:
                self._trouble, self._is_held_up = problem, True
                return True
            self._is_over = True
            self._on_failed(problem)
            return False
        if problem is None and (self._trouble is not None or write is not self._pending[0]):
            # it came before another that goes first: the gap refuses it, not the claim
            self._is_held_up = True
            return True
        self._is_over = True
        self._on_refused()
        return False

    def _send_again(self) -> None:
        """
        Send what was not taken, now that all replies are in.

        While Redis refuses, the first entry goes first and alone.
        """
        if self._trouble is not None:
            say_refused(
                f"run={self._runtime.run.id} cannot write its journal", self._trouble, self._tries
            )
            self._tries += 1
            self._timer = asyncio.get_running_loop().call_later(insist.REFUSED_S, self._try_first)
            return
        self._is_held_up, self._tries = False, 0
        for write in list(self._pending):
            self._send(write)

    def _try_first(self) -> None:
        self._trouble = None
        self._send(self._pending[0])

    def _written(self, entry: Entry) -> None:
        probes.at("journal.done")
        try:
            self._on_written(entry)
        except Exception as error:  # noqa: BLE001  asyncio would only log it, and nothing would go on
            self._on_failed(error)

    def _taken(self, entry: Entry, reply: Any, on_nothing: Callable[[], None]) -> None:
        self._is_taking = False
        self.note_inbox(int(reply[0]))
        if len(reply) > 1:
            self.index += 1
            self._written(entry.holding(reply[1]))
        else:
            on_nothing()
        self._write_held_back()

    def _write_held_back(self) -> None:
        while self._held_back:
            self._held_back.popleft()()


def _tell_nobody(*_: object) -> None:
    """Stand for what was to be told of writes, once the activation is over."""

"""
The scribe: writes journal entries, each at its index, and says when they are durable, in the order
of the writes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from stepflow.core import probes
from stepflow.core.journal import Entry
from stepflow.core.run import Cleanup
from stepflow.engine import insist
from stepflow.engine.insist import say_refused
from stepflow.errors import RedisRefused
from stepflow.kits.flow.runtime import FlowRuntime

#: sends an entry whose data the server makes, given its index and its head
Send = Callable[[int, bytes], asyncio.Future[Any]]


class _Letter:
    """
    An entry on its way.

    How it is sent, given its index, and who heeds the answer once all up to it are durable.
    """

    __slots__ = ("answer", "heed", "index", "send")

    def __init__(
        self, index: int, send: Callable[[int], asyncio.Future[Any]], heed: Callable[[Any], None]
    ) -> None:
        self.index = index
        self.send = send
        self.heed = heed
        #: what the server said: nothing yet, or that it is refused, while this is false
        self.answer: Any = None


class JournalWriter:
    """
    Keeps the journal's next index.

    *landed* is called with each entry once it is durable, *refused* when the claim is another's
    now, *failed* with what Redis refuses for good. A take may or may not use up an index, so what
    is to be written meanwhile waits for it, as it does for the replay to end. *wakeup* is called
    when more was put into the inbox than was heard of: what came after another had looked must be
    looked for again before the run may park.

    While Redis refuses to write, entries are kept in their order: once all replies are in, the
    first is sent again every second, and when it is taken, the rest. What was sent behind a refused
    one is answered as a write under a lost claim is, so such an answer counts only where nothing
    before it is open.
    """

    def __init__(
        self,
        runtime: FlowRuntime,
        landed: Callable[[Entry], None],
        refused: Callable[[], None],
        wakeup: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._runtime = runtime
        self._landed = landed
        self._refused = refused
        self._wakeup = wakeup
        self._failed = failed
        self._letters: deque[_Letter] = deque()
        #: letters sent and not answered
        self._sent = 0
        #: set while letters are kept: why
        self._trouble: RedisRefused | None = None
        #: whether letters wait, for the trouble to pass or for the first of them to be taken
        self._waits = False
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._taking = False
        self._is_replaying = True
        self._held_back: deque[Callable[[], None]] = deque()
        self.index = 0
        #: how much was ever put into the run's inbox, as last heard
        self.inbox = runtime.run.inbox

    @property
    def is_taking(self) -> bool:
        """Whether a take is on its way: the next index is not known until it has come back."""
        return self._taking

    @property
    def is_busy(self) -> bool:
        """Whether something is on its way."""
        return bool(self._letters or self._held_back)

    def hear(self, inbox: int) -> None:
        """Take note of how much was ever put into the run's inbox."""
        if inbox != self.inbox:
            self.inbox = inbox
            self._wakeup()

    def go_live(self) -> None:
        """Begin to write; what was chosen on the way here comes first."""
        self._is_replaying = False
        self._write_held_back()

    def close(self) -> None:
        """Write no more: the activation is over."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def write(self, entry: Entry, cleanup: Cleanup | None = None) -> None:
        """
        Write an entry at the next index, and what the run has left to do from then on, if that
        changes.
        """
        if self._taking or self._is_replaying:
            self._held_back.append(lambda: self.write(entry, cleanup))
            return
        data = entry.write()
        self._post(
            lambda index: self._runtime.add_entry(index, data, cleanup),
            lambda _: self._written(entry),
        )

    def write_computed(self, entry: Entry, send: Send) -> None:
        """Write an entry at the next index whose data is what the server answers to *send*."""
        if self._taking:
            self._held_back.append(lambda: self.write_computed(entry, send))
            return
        head = entry.head()
        self._post(
            lambda index: send(index, head), lambda answer: self._written(entry.holding(answer[0]))
        )

    def take(self, entry: Entry, send: Send, nothing: Callable[[], None]) -> None:
        """
        Have *send* take what there may be for *entry* and remember it, in one write.

        *nothing* is called for nothing.

        Its answer is [inbox, data], [inbox], or [] when refused.
        """
        self._taking = True
        head = entry.head()
        letter = _Letter(
            self.index,
            lambda index: send(index, head),
            lambda answer: self._taken(entry, answer, nothing),
        )
        self._hand_in(letter)

    def _post(
        self, send: Callable[[int], asyncio.Future[Any]], heed: Callable[[Any], None]
    ) -> None:
        """Take the next index for an entry and send it."""
        probes.at("journal.ready")
        letter = _Letter(self.index, send, heed)
        self.index += 1
        self._hand_in(letter)

    def _hand_in(self, letter: _Letter) -> None:
        self._letters.append(letter)
        if not self._waits:
            self._send(letter)

    def _send(self, letter: _Letter) -> None:
        self._sent += 1
        letter.send(letter.index).add_done_callback(lambda done: self._answered(letter, done))

    def _answered(self, letter: _Letter, done: asyncio.Future[Any]) -> None:
        self._sent -= 1
        if self._is_over:
            return
        problem = asyncio.CancelledError() if done.cancelled() else done.exception()
        if problem is None:
            letter.answer = done.result()
        if not letter.answer and not self._is_kept(letter, problem):
            return
        while self._letters and self._letters[0].answer:
            letter = self._letters.popleft()
            letter.heed(letter.answer)
        if self._waits and not self._sent:
            self._go_on()

    def _is_kept(self, letter: _Letter, problem: BaseException | None) -> bool:
        """
        Say whether a letter that was not taken is to be sent again.

        Else it ends the activation.
        """
        if isinstance(problem, RedisRefused):
            if problem.passes:
                self._trouble, self._waits = problem, True
                return True
            self._is_over = True
            self._failed(problem)
            return False
        if problem is None and (self._trouble is not None or letter is not self._letters[0]):
            self._waits = (
                True  # it came before another that goes first: the gap refuses it, not the claim
            )
            return True
        self._is_over = True
        self._refused()
        return False

    def _go_on(self) -> None:
        """
        All replies are in.

        Send again what was not taken, its first entry first and alone while Redis refuses.
        """
        if self._trouble is not None:
            say_refused(
                f"run={self._runtime.run.id} cannot write its journal",
                self._trouble,
                self._tries,
            )
            self._tries += 1
            self._timer = asyncio.get_running_loop().call_later(insist.REFUSED_S, self._try_again)
            return
        self._waits, self._tries = False, 0
        for letter in list(self._letters):
            self._send(letter)

    def _try_again(self) -> None:
        self._trouble = None
        self._send(self._letters[0])

    def _written(self, entry: Entry) -> None:
        probes.at("journal.done")
        self._landed(entry)

    def _taken(self, entry: Entry, answer: Any, nothing: Callable[[], None]) -> None:
        self._taking = False
        self.hear(int(answer[0]))
        if len(answer) > 1:
            self.index += 1
            self._landed(entry.holding(answer[1]))
        else:
            nothing()
        self._write_held_back()

    def _write_held_back(self) -> None:
        while self._held_back:
            self._held_back.popleft()()

"""
One activation of a workflow, from the top to where it ends or waits.

Remembered answers are handed to its function in the order in which they once came; where memory ends it goes on live.

The same `_hand_over` serves both, so a replay takes the turns that the first run took: an answer is handed over only
when none of the workflow's tasks is ready.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from stepflow.core.outcomes import Outcome, Pause, Restart
from stepflow.core.run import Rest
from stepflow.engine.gate import pause_for
from stepflow.errors import DataError
from stepflow.kits.flow.commands.map import recall
from stepflow.kits.flow.replay.child_ends import Lookout
from stepflow.kits.flow.replay.ending import Ending
from stepflow.kits.flow.replay.journal import MISREAD, Entry, Kind, misread, read_journal
from stepflow.kits.flow.replay.journal_writer import Scribe, Send
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.replay.patches import Patches
from stepflow.kits.flow.replay.pending import Wishes
from stepflow.kits.flow.replay.suspend import make_room, park
from stepflow.kits.flow.replay.time_slice import Turn
from stepflow.kits.flow.replay.wakeup import News
from stepflow.worker.step_runtime import Port

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from stepflow.kits.flow.commands.command import Wish

log = logging.getLogger("stepflow.flow")


class Activation:
    """
    The machinery of one activation; `Context` is what the workflow sees of it.

    *outer* is the worker's loop, where steps run; *loop* the workflow's own.
    """

    def __init__(self, port: Port) -> None:
        self.port = port
        self.run = port.hold.run
        self.loop = WorkflowLoop()  # type: ignore[abstract]  # only to the type checker: asyncio leaves what is not there to raise
        self.loop.now = self.run.began_at
        self.outer = asyncio.get_running_loop()
        #: grows with every piece of news: a wish for a signal looks into the mailbox once for each
        self.rounds_of_news = 1
        #: how often the run was restarted
        self.restarts = 0
        self._patches = Patches()
        #: whether the journal is used up and more may be written
        self.is_live = False
        #: remembered entries not handed over yet; 0 when live
        self._left = 0
        self.news = News(self.run.id)
        self._scribe = Scribe(port, self.news.safely(self._landed), self.news.lose, self._heard, self.news.fail)
        self.lookout = Lookout(port, self.hear)
        #: answers of settled maps, by stem: the journal only points to them
        self.recalled: dict[str, list[bytes | None]] = {}
        self.main: asyncio.Task[Any]  # of the workflow's function
        self._ending = Ending(self)
        self._turn = Turn(port)
        self.wishes = Wishes(self._ending.ledger, self._dropped)

    async def carry(self, workflow: Callable[[], Coroutine[Any, Any, Any]]) -> Outcome:
        """Run the workflow's function until it ends, waits, or is not the one that the journal remembers."""
        try:
            return await self._carry(workflow)
        except DataError as error:  # what the machinery reads; the workflow's own errors are in its task
            return pause_for(error)
        finally:
            self._scribe.close()
            self.loop.put_aside()

    async def _carry(self, workflow: Callable[[], Coroutine[Any, Any, Any]]) -> Outcome:
        written = await self.port.load_journal() if self.run.logged else []
        self.recalled |= await recall(written, self.port)
        entries = read_journal(written, self.run.id)
        self._scribe.index = len(written)
        if entries and entries[0].kind is Kind.START:
            start = entries.pop(0)
            self.restarts, self.loop.now = int(start.name) if start.name.isdecimal() else 0, start.at
        self._patches, self._left = Patches(entries), len(entries)
        self._turn.begin_replay()
        self.main = self.loop.create_task(workflow())
        self.loop.run_ready()
        for entry in entries:
            self._left -= 1
            try:
                problem = self._hand_over(entry)
            except MISREAD as error:
                raise misread(self.run.id, len(written) - 1 - self._left, entry.write(), error) from error
            if problem is not None:
                return self._ending.another_try() or Pause(f"code changed: {problem}")
        self.port.go_live(self._ending.so_far())
        self.is_live = True
        self._turn.begin()
        self._scribe.go_live()
        hold = self.port.hold
        hold.on_news = self._heard
        forget = hold.cancel.tell(self.news.look_again)
        try:
            return await self._live()
        finally:
            hold.on_news = None
            forget()
            self.wishes.leave()

    # for the context and for wishes

    def wish(self, wish: Wish) -> asyncio.Future[Any]:
        """Take in what the workflow asks for, at the place it took when it asked, or by its key."""
        self.wishes.take_in(wish)
        return wish.future

    def write(self, wish: Wish, kind: Kind, data: bytes = b"") -> None:
        """Write an entry; its wish is busy until the reply, which hands it over. One that comes too late is dropped."""
        if self.loop.is_over or self.wishes.at(wish.place) is not wish:
            self.news.look_again()
            return
        wish.is_busy = wish.is_writing = True
        is_first_to_undo = kind is Kind.VALUE and wish.compensation is not None and not self.run.rest
        entry = Entry(kind, wish.place, wish.name, self.port.now(), data)
        self._scribe.write(entry, Rest.WANTED if is_first_to_undo else None)

    def remember(self, kind: Kind, data: bytes = b"", rest: Rest | None = None, name: str = "") -> None:
        """Write an entry about the run itself rather than a wish."""
        self._scribe.write(Entry(kind, str(kind), name, self.port.now(), data), rest)

    def ask(self, wish: Wish, kind: Kind, send: Send) -> None:
        """Write an entry whose data is what the server answers to *send*."""
        wish.is_busy = wish.is_writing = True
        self._scribe.ask(Entry(kind, wish.place, wish.name, self.port.now()), send)

    def take(self, wish: Wish, kind: Kind, send: Send) -> bool:
        """Have *send* look for what came in; taken, it is an entry like any other. False when it cannot look now."""
        if self._scribe.is_taking:
            return False
        wish.is_busy = True
        self._scribe.take(Entry(kind, wish.place, wish.name, self.port.now()), send, lambda: self._found_nothing(wish))
        return True

    def hear(self, inbox: int) -> None:
        """Take note of how much was ever put into the run's inbox; when that is new, all who listen look again."""
        self._scribe.hear(inbox)

    def patched(self, name: str) -> bool:
        """Say whether the run takes the new way at a patch."""
        is_new, is_news = self._patches.choose(name, is_live=not self._left)
        if is_news:
            self._scribe.write(Entry(Kind.PATCH, f"patch:{name}", name, self.port.now()))
        return is_new

    def begin_anew(self, payload: Any) -> Restart:
        """Give what the function has to return for its run to be restarted."""
        self._ending.restart = Restart(payload, self.restarts + 1)
        return self._ending.restart

    @property
    def is_stuck(self) -> bool:
        """Whether nothing is under way and nothing is waited for."""
        return not self._is_busy() and not self.wishes.open()

    # replay and live alike

    def _hand_over(self, entry: Entry) -> str | None:
        """Give one remembered fact to the wish at its place; says in words when it does not fit."""
        if entry.kind in (Kind.STOP, Kind.UNDO):
            self.loop.now = entry.at
            self._ending.take_in(entry)
            return None
        if entry.kind is Kind.PATCH:
            return None
        wish, problem = self.wishes.wanted_by(entry, has_ended=self.main.done())
        if problem:
            return problem
        if wish is None:
            self.loop.now = entry.at
            return None
        if not wish.is_answered_by(entry):
            return None
        self.wishes.remove(entry.place)
        self.loop.now = entry.at
        self._ending.ledger.note(wish, wish.value_in(entry))
        if not wish.future.done():
            wish.answer(entry)
        self.loop.run_ready()
        return None

    # live

    async def _live(self) -> Outcome:
        while True:
            self.news.heed()
            self._ending.heed_stop()
            if not self._ending.is_being_told:
                self._pursue()
            if not self._scribe.is_busy:
                outcome = self._ending.outcome()
                if outcome is not None:
                    return outcome
            if self._is_busy():
                await self._wait()
                if self.wishes.has_fresh and not self._is_busy() and await self._turn.is_over():
                    return make_room(self.loop)
            elif self._is_waiting():
                waits, due_at, knows_stop = self.wishes.open(), self._due_at(), self._ending.knows_stop
                return park(waits, self.loop, due_at=due_at, inbox=self._scribe.inbox, knows_stop=knows_stop)

    def _heard(self) -> None:
        """Note that something was put into the run's inbox while it runs."""
        self.rounds_of_news += 1
        self.news.look_again()

    def _is_busy(self) -> bool:
        return self._scribe.is_busy or self.wishes.is_busy()

    async def _wait(self) -> None:
        """Wait for a try, a reply or news, but no longer than until something is due."""
        due_at = self._due_at()
        timeout_s = None if due_at is None else max(0.0, due_at - self.port.now())
        hold = self.port.hold
        hold.is_waiting = True
        try:
            if timeout_s is None:
                await self.news.wait()
                return
            async with self.port.timeout(timeout_s):
                await self.news.wait()
        except TimeoutError:
            return
        finally:
            hold.is_waiting = False

    def _pursue(self) -> None:
        """Do for every open wish what can be done for it now."""
        self.wishes.fresh()
        self._pursue_all(self.wishes.open())

    def _pursue_all(self, wishes: Sequence[Wish]) -> None:
        now = self.port.now()
        for wish in wishes:
            if wish.is_open and not wish.is_busy:
                wish.pursue(self, now)

    def _due_at(self) -> float | None:
        """Say when something is due next."""
        due = [wish.due_at for wish in self.wishes.open() if wish.due_at is not None and not wish.is_busy]
        if self._ending.grace_until is not None:
            due.append(self._ending.grace_until)
        return min(due) if due else None

    def _is_waiting(self) -> bool:
        """Whether there is nothing to do until something is due or comes in."""
        due_at = self._due_at()
        return due_at is None or due_at > self.port.now()

    def _landed(self, entry: Entry) -> None:
        """Hand over what is durable now; replies come in the order of the writes."""
        wish = self.wishes.at(entry.place)
        if wish is not None:
            wish.is_busy = wish.is_writing = False
        self._hand_over(entry)
        is_answered = wish is not None and not wish.listens and self.wishes.at(entry.place) is not wish
        if not (is_answered and self._goes_on()):
            self.news.look_again()

    def _goes_on(self) -> bool:
        """
        Begin at once with what was asked for just now; False when `_live` has to look.

        A chain of steps goes on from callback to callback: waking `_live` for each would double what a step costs. What
        waits is not looked at: of a thousand branches the end of one concerns that one.
        """
        if self.main.done() or self.news.is_bad or self.loop.misuse is not None or self.port.hold.cancel.is_set:
            return False
        if self._turn.is_up and not self._is_busy():
            return False
        fresh = self.wishes.fresh()
        self._pursue_all(fresh)
        return all(wish.is_busy for wish in fresh) if fresh else self.wishes.is_busy()

    def _found_nothing(self, wish: Wish) -> None:
        wish.is_busy = False
        self.news.look_again()

    # ending

    def _dropped(self, wish: Wish) -> None:
        """Cancel the try of what the workflow wants no more; its answer will not be handed over."""
        self.outer.call_soon(wish.drop)
        self.outer.call_soon(self.news.look_again)

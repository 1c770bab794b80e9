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

from stepflow.core.outcomes import ErrorInfo, Outcome, Park, Pause, Raised, Succeed
from stepflow.engine.execute import describe, raised
from stepflow.engine.port import Port
from stepflow.engine.registry import is_async
from stepflow.errors import ClaimLost, StepFailed, StepflowError, TransientError
from stepflow.kits.flow.journal import Entry, Kind
from stepflow.kits.flow.loop import WorkflowLoop
from stepflow.kits.flow.scribe import Scribe
from stepflow.kits.flow.wish import FITTING, Wish
from stepflow.store.codec import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

log = logging.getLogger("stepflow.flow")


class Activation:
    """The machinery of one activation; `Context` is what the workflow sees of it."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.run = port.hold.run
        self.loop = WorkflowLoop()  # type: ignore[abstract]  # only to the type checker: asyncio leaves what is not there to raise
        self.loop.now = self.run.created_at
        self._outer = asyncio.get_running_loop()
        self._wishes: dict[str, Wish] = {}
        self._scribe = Scribe(port, self._landed, self._refused)
        #: grows with every piece of news: a wish for a signal looks into the mailbox once for each
        self._rounds_of_news = 1
        self._news = asyncio.Event()
        self._is_live = False
        self._lost = False
        self._main: asyncio.Task[Any] | None = None

    def wish(self, wish: Wish) -> asyncio.Future[Any]:
        """Take in what the workflow asks for, at the place it took when it asked."""
        self._wishes[wish.place] = wish
        wish.future.add_done_callback(lambda done: self._dropped(wish) if done.cancelled() else None)
        return wish.future

    async def carry(self, workflow: Callable[[], Coroutine[Any, Any, Any]]) -> Outcome:
        """Run the workflow's function until it ends, waits, or is not the one that the journal remembers."""
        try:
            return await self._carry(workflow)
        finally:
            self.loop.put_aside()

    async def _carry(self, workflow: Callable[[], Coroutine[Any, Any, Any]]) -> Outcome:
        entries = await self.port.load_journal() if self.run.logged else []
        self._scribe.index = len(entries)
        self._main = self.loop.create_task(workflow())
        self.loop.run_ready()
        for written in entries:
            problem = self._hand_over(Entry.read(written))
            if problem is not None:
                return Pause(f"code changed: {problem}")
        self._is_live = True
        hold = self.port.hold
        hold.on_news = self._heard
        watch = self._outer.create_task(self._watch_stop())
        try:
            return await self._live()
        finally:
            hold.on_news = None
            watch.cancel()
            self._cancel_tries()

    # replay and live alike

    def _hand_over(self, entry: Entry) -> str | None:
        """Give one remembered fact to the wish at its place; says in words when it does not fit."""
        wish = self._wishes.get(entry.place)
        if wish is None:
            return f"remembered {entry.kind} {entry.name!r} at place {entry.place}, now nothing is asked for there"
        if entry.name != wish.name or entry.kind not in FITTING[wish.what]:
            return f"at place {entry.place} remembered {entry.kind} {entry.name!r}, now {wish.what} {wish.name!r}"
        if entry.kind is Kind.TRY:
            wish.failures += 1
            wish.due_at = float(entry.data)
            return None
        if entry.kind is Kind.DUE:
            wish.due_at = float(entry.data)
            return None
        del self._wishes[entry.place]
        self.loop.now = entry.at
        if not wish.future.done():
            self._answer(wish, entry)
        self.loop.run_ready()
        return None

    def _answer(self, wish: Wish, entry: Entry) -> None:
        match entry.kind:
            case Kind.ERROR:
                kind, message, _ = unpack(entry.data)
                wish.future.set_exception(StepFailed(wish.name, kind, message))
            case Kind.VALUE | Kind.SIGNAL:
                data = entry.data if entry.kind is Kind.VALUE else entry.data.split(b"|", 1)[1]
                try:
                    value = unpack(data)
                    wish.future.set_result(value if wish.read is None else wish.read(value))
                except StepflowError as error:
                    wish.future.set_exception(error)
            case _:
                wish.future.set_result(None)

    # live

    async def _live(self) -> Outcome:
        assert self._main is not None
        while True:
            self._news.clear()
            self._pursue()
            if self._lost:
                raise ClaimLost(f"run {self.run.id!r} is held by another worker; its journal refused the write")
            if self.loop.misuse is not None:
                return Raised(describe(self.loop.misuse), retryable=False)
            if self._main.done() and not self._scribe.is_busy:
                return _end_of(self._main)
            if not self._is_busy():
                outcome = self._park()
                if outcome is not None:
                    return outcome
                continue
            await self._wait()

    def _heard(self) -> None:
        """Note that something was put into the run's inbox while it runs."""
        self._rounds_of_news += 1
        self._news.set()

    def _is_busy(self) -> bool:
        return self._scribe.is_busy or any(wish.is_busy for wish in self._wishes.values())

    async def _wait(self) -> None:
        """Wait for a try, a reply or news, but no longer than until something is due."""
        due = [wish.due_at for wish in self._open() if wish.due_at is not None and not wish.is_busy]
        timeout_s = max(0.0, min(due) - self.port.now()) if due else None
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return

    def _open(self) -> list[Wish]:
        return [wish for wish in self._wishes.values() if not wish.future.cancelled()]

    def _pursue(self) -> None:
        """Do for every open wish what can be done for it now."""
        now = self.port.now()
        for wish in self._open():
            if wish.is_busy:
                continue
            match wish.what:
                case "step":
                    if wish.due_at is None or wish.due_at <= now:
                        self._try(wish)
                case "sleep":
                    self._pursue_sleep(wish, now)
                case "signal":
                    self._pursue_signal(wish, now)

    def _pursue_sleep(self, wish: Wish, now: float) -> None:
        if wish.due_at is None:
            wish.due_at = now + (wish.wait_s or 0.0)
            self._write(wish, Kind.DUE, f"{wish.due_at:.6f}".encode())
        elif wish.due_at <= now:
            self._write(wish, Kind.OVER)

    def _pursue_signal(self, wish: Wish, now: float) -> None:
        if wish.due_at is None and wish.wait_s is not None:
            wish.due_at = now + wish.wait_s
            self._write(wish, Kind.DUE, f"{wish.due_at:.6f}".encode())
        elif wish.seen != self._rounds_of_news:
            self._take(wish)
        elif wish.due_at is not None and wish.due_at <= now:
            self._write(wish, Kind.NONE)

    def _park(self) -> Outcome | None:
        """Give the worker back until something is due or comes in; None when something is due already."""
        waits = self._open()
        if not waits:
            text = "the workflow awaits something that nothing will ever answer"
            return Raised(ErrorInfo("Stuck", text), retryable=False)
        due = [wish.due_at for wish in waits if wish.due_at is not None]
        if due and min(due) <= self.port.now():
            return None
        listens = any(wish.what == "signal" for wish in waits)
        shown = ", ".join(f"{wish.what} {wish.name}" for wish in waits[:3])
        return Park(min(due) if due else None, self._scribe.inbox if listens else None, shown)

    def _refused(self) -> None:
        self._lost = True
        self._news.set()

    def _landed(self, entry: Entry) -> None:
        """Hand over what is durable now; replies come in the order of the writes."""
        self._news.set()
        wish = self._wishes.get(entry.place)
        if wish is not None:
            wish.is_busy = False
        self._hand_over(entry)

    def _write(self, wish: Wish, kind: Kind, data: bytes = b"") -> None:
        """Write an entry; its wish is busy until the reply, which hands it over."""
        wish.is_busy = True
        self._scribe.write(Entry(kind, wish.place, wish.name, self.port.now(), data))

    def _take(self, wish: Wish) -> None:
        """Look into the mailbox for a signal; taken, it is an entry like any other."""
        if self._scribe.is_busy:
            return
        wish.is_busy, wish.seen = True, self._rounds_of_news
        entry = Entry(Kind.SIGNAL, wish.place, wish.name, self.port.now())
        self._scribe.take(entry, wish.names, lambda: self._found_nothing(wish))

    def _found_nothing(self, wish: Wish) -> None:
        wish.is_busy = False
        self._news.set()

    # trying steps

    def _try(self, wish: Wish) -> None:
        wish.is_busy = True
        wish.task = self._outer.create_task(self._call(wish))
        wish.task.add_done_callback(lambda done: self._tried(wish, done))

    async def _call(self, wish: Wish) -> Any:
        assert wish.function is not None
        async with asyncio.timeout(wish.timeout_s):
            if is_async(wish.function):
                return await wish.function(*wish.args, **wish.kwargs)
            return await self.port.threads.run(_calling(wish))

    def _tried(self, wish: Wish, done: asyncio.Future[Any]) -> None:
        wish.task = None
        wish.is_busy = False
        self._news.set()
        if done.cancelled() or wish.future.cancelled():
            return
        error = done.exception()
        if error is None:
            try:
                data = pack(done.result(), what=f"the value of step {wish.name!r}", limit=self.port.limit)
            except StepflowError as problem:
                error = problem
            else:
                self._write(wish, Kind.VALUE, data)
                return
        if isinstance(error, ClaimLost):
            self._lost = True
            return
        self._write_failure(wish, error)

    def _write_failure(self, wish: Wish, error: BaseException) -> None:
        fault, failures = raised(error, wish.policy), wish.failures + 1
        if not fault.retryable or failures >= wish.policy.max_attempts:
            info = fault.error
            self._write(wish, Kind.ERROR, pack([info.type, info.message, info.traceback]))
            return
        wait_s = max(wish.policy.wait_s(failures, self.port.spread()), fault.retry_after_s or 0.0)
        log.warning(
            "run=%s step %r not done (%s); attempt %s of %s in %.3g s",
            self.run.id, wish.name, fault.error.type, failures + 1, wish.policy.max_attempts, wait_s,
        )  # fmt: skip
        self._write(wish, Kind.TRY, f"{self.port.now() + wait_s:.6f}".encode())

    # ending

    def _dropped(self, wish: Wish) -> None:
        """Cancel the try of what the workflow wants no more; its answer will not be handed over."""
        if wish.task is not None:
            self._outer.call_soon(wish.task.cancel)
        self._outer.call_soon(self._news.set)

    def _cancel_tries(self) -> None:
        for wish in self._wishes.values():
            if wish.task is not None:
                wish.task.cancel()

    async def _watch_stop(self) -> None:
        """Bring a stop into the coroutine: CancelledError at its next await; its `finally` blocks still run."""
        await self.port.hold.cancel.wait()
        if self._main is not None and not self._main.done():
            self._main.cancel()
            self.loop.run_ready()
        self._news.set()


def _calling(wish: Wish) -> Callable[[], Any]:
    function, args, kwargs = wish.function, wish.args, wish.kwargs
    assert function is not None
    return lambda: function(*args, **kwargs)


def _end_of(main: asyncio.Task[Any]) -> Outcome:
    """Say what the end of the workflow's function means for the run."""
    if main.cancelled():
        return Raised(ErrorInfo("Cancelled", "the workflow was cancelled"), retryable=False)
    error = main.exception()
    if error is None:
        return Succeed(main.result())
    if isinstance(error, TransientError):
        return Raised(describe(error), retry_after_s=error.retry_after)
    return Raised(describe(error), retryable=False)

"""
The workflow's own event loop.

It runs what is ready and nothing else, so a replay takes the same turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, NoReturn

from stepflow.errors import NotReplayable
from stepflow.kits.flow.answer import Answer
from stepflow.kits.flow.branches import Branch, BranchTask
from stepflow.kits.flow.evicted import Evicted, forget_in_anyio, put_aside
from stepflow.kits.flow.replay.misuse import find_call
from stepflow.kits.flow.replay.timing.timer import TimerBook, WorkflowTimer
from stepflow.kits.flow.running_loop import run_again, run_as

log = logging.getLogger("stepflow.flow")


#: callbacks in a row after which some are put off
_MANY = 2000
#: what anyio calls at each turn for a scope whose tasks have not ended
_CANCEL_AGAIN = "_deliver_cancellation"

#: says which task of a loop runs; before Python 3.12 asyncio's own function is a slow one
_running_task: Callable[[asyncio.AbstractEventLoop], asyncio.Task[Any] | None] = (
    asyncio.current_task
    if sys.version_info >= (3, 12)
    else vars(asyncio.tasks)["_current_tasks"].get
)
#: what is refused where no code of the workflow runs
OUTSIDE = "ctx outside of the workflow's own code, such as inside a step"
_ADVICE = {OUTSIDE: "call it in the workflow function, and pass the step what it needs"}


class ReadyHandle(asyncio.Handle):
    """A handle, made without the questions that debugging has: a step makes two."""

    __slots__ = ()

    def __init__(
        self,
        callback: Callable[..., object],
        args: Sequence[Any],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False
        self._repr: str | None = None
        self._source_traceback = None


class WorkflowLoop(asyncio.AbstractEventLoop):
    """
    An event loop with a ready queue, timers that survive a crash, and no sockets or threads.

    Tasks are branches: each takes its place in the branch that created it, when it is created.
    What callbacks create, or `asyncio.Task` without the loop, takes its place in a branch of its
    own. Whatever asyncio asks of a loop beyond that is refused with NotReplayable.
    """

    def __init__(self) -> None:
        #: what `run_ready` has to call
        self.ready: deque[asyncio.Handle] = deque()
        self._branches: dict[asyncio.Task[Any], Branch] = {}
        #: of the task made next; runs begin at different numbers, so that hashes differ
        self.next_serial = 0
        #: for what no task of ours has created; made for the first
        self._of_callbacks: Branch | None = None
        #: what was refused last, should the workflow get stuck over it
        self.refused: NotReplayable | None = None
        #: what was refused and ends the workflow, whether or not its code lets the error pass
        self.misuse: NotReplayable | None = None
        #: the Context of the workflow that it runs
        self.ctx: object = None
        #: what keeps its timers; set by the activation
        self.timers: TimerBook | None = None
        #: whether the activation is over
        self.is_over = False
        #: whether evicted code, in a `finally` block, called ctx
        self.called_ctx_while_evicted = False
        #: unix seconds, set by the replay to the time of the last remembered entry
        self.now = 0.0
        #: unix seconds: what timers count from is not before this
        self.floor = 0.0
        #: called before the loop is asked for its time, where that may have to catch up
        self.before_time: Callable[[], None] | None = None
        #: callbacks that wait until something has happened
        self._put_off: list[asyncio.Handle] = []
        #: async generators that were left in the middle, their `finally` blocks running
        self._closing: set[asyncio.Task[None]] = set()

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = ReadyHandle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_answer(self) -> Answer:
        """Make the future of a command."""
        return Answer(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        path = f"{self._caller().next_place()}." if self._branches else ""
        return self.create_branch(coro, path, name=name, context=context)

    def create_branch(
        self,
        coro: Coroutine[Any, Any, Any],
        path: str,
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        """Make a task whose places begin with *path*, whatever branch it is made in."""
        context = contextvars.copy_context() if context is None else context
        branch = Branch(path, context)
        task = BranchTask(coro, branch, self.next_serial, loop=self, name=name)
        self.next_serial += 1
        self._branches[task] = branch
        task.add_done_callback(lambda done: self._branches.pop(done, None))
        return task

    @property
    def _outside(self) -> Branch:
        if self._of_callbacks is None:
            self._of_callbacks = Branch("c")
        return self._of_callbacks

    def _caller(self) -> Branch:
        """Return the branch of the task that runs now, or the one of what no task of ours does."""
        task = asyncio.current_task(self)
        if task is None:
            return self._outside
        if type(task) is BranchTask:
            return task.branch
        return self._branches.get(task) or self._take_in(task)

    def _take_in(self, task: asyncio.Task[Any]) -> Branch:
        """Make a branch of a task that was made without us."""
        branch = self._branches[task] = Branch(f"{self._outside.next_place()}.")
        task.add_done_callback(lambda done: self._branches.pop(done, None))
        return branch

    def time(self) -> float:
        if self.before_time is not None:
            self.before_time()
        # as the journal keeps it, so that a replay sees the same
        return round(max(self.now, self.floor), 6)

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        if self.is_over:
            self._evict_caller()
        timer = WorkflowTimer(when, callback, args, self, context)
        timer.place = self._caller().next_timer()
        if self.timers is not None:
            self.timers.start(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if self.timers is not None and isinstance(handle, WorkflowTimer):
            self.timers.drop(handle)

    def make_ready(self, handle: asyncio.Handle) -> None:
        """Have *handle* called when `run_ready` gets to it."""
        self.ready.append(handle)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_over:
            log.warning("in workflow code: %s", context.get("exception") or context.get("message"))

    def branch(self) -> Branch:
        """
        Return the branch whose code is running.

        Raises NotReplayable outside of workflow code, Evicted when the activation is over.
        """
        if self.is_over:
            self._evict_caller()
        task = asyncio.current_task(self)
        if task is None:
            self.refuse_for_good(OUTSIDE)
        if type(task) is BranchTask:  # each step passes here
            return task.branch
        return self._branches.get(task) or self._take_in(task)

    def next_place(self) -> str:
        """Take the next place of the branch whose code is running; raises as `branch` does."""
        task = None if self.is_over else _running_task(self)
        # each step passes here
        return (task.branch if type(task) is BranchTask else self.branch()).next_place()

    def _evict_caller(self) -> NoReturn:
        """End code that is evicted, and that asks for something to wait for."""
        self.called_ctx_while_evicted = True
        raise Evicted

    @property
    def is_closing(self) -> bool:
        """
        Whether a generator that was left in the middle is not closed yet.

        The workflow has not ended before.
        """
        return bool(self._closing)

    def run_ready(self) -> None:
        """Run what is ready until nothing is, as the running loop of this thread."""
        if not self.ready:
            return
        if self._put_off:
            self.ready.extend(self._put_off)
            self._put_off.clear()
        outer = run_as(self, self._close)
        ready, ran = self.ready, 0
        try:
            while ready:
                handle = ready.popleft()
                ran += 1
                if ran > _MANY and self._is_put_off(handle):
                    continue
                if handle._cancelled:  # noqa: SLF001  how every loop runs a handle
                    continue
                try:
                    handle._context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]  # noqa: SLF001
                except (SystemExit, KeyboardInterrupt):
                    pass  # its task keeps it; here it would end the worker's loop
                except BaseException as error:  # noqa: BLE001  as `Handle._run` does
                    self.call_exception_handler({"message": repr(handle), "exception": error})
        finally:
            run_again(outer)

    def _is_put_off(self, handle: asyncio.Handle) -> bool:
        """
        Whether *handle* waits until something has happened.

        A scope of anyio cancels its tasks at each turn until they have ended. One that waits for a
        step in its cleanup does not end before the worker's loop turns.
        """
        callback = getattr(handle, "_callback", None)
        if getattr(callback, "__name__", "") != _CANCEL_AGAIN:
            return False
        self._put_off.append(handle)
        return True

    def _close(self, generator: AsyncGenerator[Any, Any]) -> None:
        """
        Close a generator that was left in the middle.

        Its `finally` blocks may await, in a branch of their own.
        """
        closing = generator.aclose()
        if self.is_over:
            with contextlib.suppress(BaseException):
                closing.send(None)
            with contextlib.suppress(BaseException):
                closing.close()
            return
        task = self.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def evict(self) -> None:
        """
        End the code that still waits: the run goes on in another activation, from the top.

        Its `finally` blocks run, as Python has it; a ctx call in one of them raises Evicted.
        """
        self.is_over = True
        self.ready.clear()
        aside: set[asyncio.Task[Any]] = set()
        outer = run_as(self, self._close)
        try:
            # cleanup may begin tasks, which are put aside as well
            while left := [item for item in self._branches.items() if item[0] not in aside]:
                for task, branch in left:
                    aside.add(task)
                    if not task.done():
                        put_aside(task, branch.context, self)
        finally:
            run_again(outer)
        if aside:
            forget_in_anyio(aside)
        self._branches.clear()
        self._closing.clear()
        self.ready.clear()
        self._put_off.clear()

    def start_over(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """End the code that still waits as `evict` does, and go on with *coro* in its stead."""
        self.evict()
        self.is_over = False
        return self.create_task(coro)

    def refuse(self, what: str) -> NoReturn:
        """Refuse what a replay could not repeat; a library that knows another way may go on."""
        call = find_call(self._branches, what)
        name, place = (what, "") if call is None else (call.name, call.place)
        error = NotReplayable(name, place, _ADVICE.get(what))
        self.refused = error
        raise error

    def refuse_for_good(self, what: str) -> NoReturn:
        """Refuse what ends the workflow, even if whoever called lets nobody know."""
        try:
            self.refuse(what)
        finally:
            self.misuse = self.misuse or self.refused


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(self: WorkflowLoop, *args: Any, **kwargs: Any) -> NoReturn:
        del args, kwargs
        self.refuse(f"the loop's {name}")

    return refuse


#: what a library may ask of any loop, and what it has to hear of this one
_ANSWERS: dict[str, Any] = {"get_task_factory": None, "get_exception_handler": None}


def _answering(answer: Any) -> Callable[..., Any]:
    def answering(self: WorkflowLoop) -> Any:
        del self
        return answer

    return answering


for _name, _answer in _ANSWERS.items():
    setattr(WorkflowLoop, _name, _answering(_answer))
for _name in dir(asyncio.AbstractEventLoop):  # else NotImplementedError would come, without a word
    if not _name.startswith("_") and _name not in vars(WorkflowLoop):
        setattr(WorkflowLoop, _name, _refusing(_name))

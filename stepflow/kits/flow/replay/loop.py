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
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, NoReturn

from stepflow.errors import NotReplayable
from stepflow.kits.flow.replay.misuse import find_call

log = logging.getLogger("stepflow.flow")


#: what is refused where no code of the workflow runs
OUTSIDE = "ctx outside of the workflow's own code, such as inside a step"


class Evicted(BaseException):
    """
    Ends workflow code that is evicted.

    Its run waits, and goes on from the top in another activation.
    """


class Branch:
    """One task of a workflow; counts the places of its steps and of the branches it starts."""

    __slots__ = ("_count", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._count = 0

    def next_place(self) -> str:
        """Take the next place of this branch."""
        place = f"{self.path}{self._count}"
        self._count += 1
        return place


class WorkflowLoop(asyncio.AbstractEventLoop):
    """
    An event loop with a ready queue and no clock, sockets or threads.

    Tasks are branches: each takes its place in the branch that created it, when it is created.
    Whatever asyncio asks of a loop beyond that is refused with NotReplayable, and remembered in
    `misuse`.
    """

    def __init__(self) -> None:
        self._ready: deque[asyncio.Handle] = deque()
        self._branches: dict[asyncio.Task[Any], Branch] = {}
        self.misuse: NotReplayable | None = None
        #: whether the activation is over
        self.is_over = False
        #: whether evicted code, in a `finally` block, called ctx
        self.called_ctx_while_evicted = False
        #: unix seconds, set by the replay to the time of the last remembered entry
        self.now = 0.0
        #: async generators that were left in the middle, their `finally` blocks running
        self._closing: set[asyncio.Task[None]] = set()

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        parent = self._branches.get(asyncio.current_task(self)) if self._branches else None  # type: ignore[arg-type]
        path = "" if parent is None else f"{parent.next_place()}."
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
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._branches[task] = Branch(path)
        task.add_done_callback(lambda done: self._branches.pop(done, None))
        return task

    def time(self) -> float:
        return self.now

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
            self.called_ctx_while_evicted = True
            raise Evicted
        task = asyncio.current_task(self)
        if task is None:
            self.refuse(OUTSIDE)
        return self._branches[task]

    @property
    def is_closing(self) -> bool:
        """
        Whether a generator that was left in the middle is not closed yet.

        The workflow has not ended before.
        """
        return bool(self._closing)

    @property
    def has_waiter(self) -> bool:
        """Whether anybody waits for the answer just given: a callback beside the one of ours."""
        return len(self._ready) > 1

    def run_ready(self) -> None:
        """Run what is ready until nothing is, as the running loop of this thread."""
        if not self._ready:
            return
        outer, hooks = self._begin()
        try:
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    try:
                        handle._run()  # noqa: SLF001  how every loop runs a handle
                    except (SystemExit, KeyboardInterrupt):
                        continue  # its task keeps it; here it would end the worker's loop
        finally:
            self._end(outer, hooks)

    def _begin(self) -> tuple[asyncio.AbstractEventLoop | None, Any]:
        """Become this thread's running loop; async generators left in the middle come to it."""
        before = asyncio._get_running_loop(), sys.get_asyncgen_hooks()  # noqa: SLF001  the pair for those who write loops
        asyncio._set_running_loop(self)  # noqa: SLF001
        sys.set_asyncgen_hooks(None, self._close)
        return before

    def _end(self, outer: asyncio.AbstractEventLoop | None, hooks: Any) -> None:
        sys.set_asyncgen_hooks(*hooks)
        asyncio._set_running_loop(outer)  # noqa: SLF001

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
        self._ready.clear()
        outer, hooks = self._begin()
        try:
            for task in [task for task in self._branches if not task.done()]:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  it is meant to go
                coroutine = task.get_coro()
                if coroutine is not None:
                    with contextlib.suppress(BaseException):
                        coroutine.close()
        finally:
            self._end(outer, hooks)
        self._branches.clear()
        self._closing.clear()
        self._ready.clear()

    def start_over(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """End the code that still waits as `evict` does, and go on with *coro* in its stead."""
        self.evict()
        self.is_over = False
        return self.create_task(coro)

    def refuse(self, what: str) -> NoReturn:
        """Refuse what a replay could not repeat, and remember that it was tried."""
        call = find_call(self._branches, what)
        error = NotReplayable(what) if call is None else NotReplayable(call.name, call.place)
        self.misuse = self.misuse or error
        raise error


def _refusing(name: str) -> Callable[..., NoReturn]:
    words = {
        "call_later": "asyncio.sleep or asyncio.timeout",
        "call_at": "asyncio.sleep or asyncio.timeout",
    }

    def refuse(self: WorkflowLoop, *args: Any, **kwargs: Any) -> NoReturn:
        del args, kwargs
        self.refuse(words.get(name, f"the loop's {name}"))

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

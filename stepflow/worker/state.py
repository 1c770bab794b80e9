"""A shift: what one worker process has at hand while it works, and what it holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from stepflow.core.run import Run, StopRequest
from stepflow.engine.env import Env
from stepflow.engine.gate import one_by_one, set_run_aside
from stepflow.engine.registry import Registry
from stepflow.engine.user_code.calls import call
from stepflow.store.calls import Plan
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.fetcher import Slots
from stepflow.worker.threads import Threads

log = logging.getLogger("stepflow.run")

#: calls a function for a run: (run id, what it is called there, function, arguments, arguments by
#: keyword)
Caller = Callable[
    [str, str, Callable[..., Any], Sequence[Any], Mapping[str, Any]], Coroutine[Any, Any, Any]
]


class WorkerState:
    """
    The runs one worker holds and the parts it works with; lives on one event loop.

    *must_let_go* says that no run may be kept past its present step: the worker leaves, or RQ is
    suspended.
    """

    def __init__(
        self,
        name: str,
        env: Env,
        registry: Registry,
        link: AsyncCaller,
        *,
        concurrency: int,
        queues: Sequence[str] = (),
        app_hooks: Sequence[Sequence[str]] = (),
    ) -> None:
        self.name = name
        self.env = env
        self.registry = registry
        self.link = link
        self.app_hooks = app_hooks
        self._queues = list(queues)
        self.loop = asyncio.get_running_loop()
        self.threads = Threads()
        self.slots = Slots(concurrency)
        self.runs: dict[str, ClaimedRun] = {}
        #: threads that user code was given up in and that have not come back
        self.stray_threads = 0
        self.must_let_go = False
        #: whether the worker is through: whatever is cancelled from now on is not to be settled
        self.is_over = False
        #: when the loop last turned, by its own clock; the renewing thread looks at it
        self.turned_at = self.loop.time()
        self.finished_steps = 0
        #: told of due times this worker sets
        self.on_due: Callable[[float | None], None] = ignore
        #: how functions are called within a step; a testing kit puts itself in between
        self.call: Caller = self._call
        self._rivals: dict[tuple[str, int], list[str]] = {}
        self._numbers = 0
        #: what is done beside the holds, for runs that cannot be held
        self._errands: set[asyncio.Task[None]] = set()

    def _call(
        self,
        run_id: str,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Coroutine[Any, Any, Any]:
        """Call a function where it belongs: on the loop, or in a thread."""
        del run_id, name
        return call(function, args, kwargs, self.threads)

    def end(self) -> None:
        """
        Note that the worker is through.

        What still runs is cancelled next, and settles nothing.
        """
        self.is_over = True

    def take_numbers(self, count: int) -> int:
        """Reserve so many token numbers; a number is never used twice."""
        first = self._numbers
        self._numbers += count
        return first

    def competing_lists(self, run: Run) -> list[str]:
        """
        Give the lists of what this worker would claim before *run*, the last being its own.

        What a kept run holds up.
        """
        key = (run.queue, run.priority)
        if key not in self._rivals:
            place = self._queues.index(run.queue) if run.queue in self._queues else 0
            names = [
                name for queue in self._queues[:place] for name in self.env.keys.rq_queues(queue)
            ]
            names += self.env.keys.rq_queues(run.queue)[: run.priority + 1]
            self._rivals[key] = [self.env.keys.rq_list(name) for name in names]
        return self._rivals[key]

    def add(self, claimed: ClaimedRun) -> None:
        """Note a hold that begins, in a slot of its own."""
        self.runs[claimed.run.id] = claimed
        self.slots.take()
        claimed.slice_until = self.loop.time() + self.env.settings.worker.slice_s

    def put_away(self, run: Run) -> None:
        """Set a claimed run aside whose record cannot be read."""
        if run.damage:
            self._begin_errand(f"run={run.id}", lambda: set_run_aside(run, self.env))

    def _begin_errand(self, what: str, plan: Callable[[], Plan[bool]]) -> None:
        async def carry() -> None:
            with one_by_one(what):
                await carry_out(self.link, plan())

        task = self.loop.create_task(carry())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def until_idle(self) -> None:
        """Wait until nothing is held, looking after time limits meanwhile."""
        while self.runs or self._errands:
            tasks = [
                *self._errands,
                *(claimed.task for claimed in self.runs.values() if claimed.task is not None),
            ]
            await asyncio.wait(tasks, timeout=0.1)
            self.sweep()

    def remove(self, claimed: ClaimedRun) -> None:
        """
        Note a hold that has ended.

        Its slot is free, unless a function that was given up still runs in its thread.
        """
        if self.runs.get(claimed.run.id) is claimed:
            del self.runs[claimed.run.id]
        if claimed.thread_busy:
            self.stray_threads += 1
            log.warning(
                "run=%s step=%s: its function still runs in its thread and keeps its slot till it returns, for nothing",
                claimed.run.id, claimed.run.step,
            )  # fmt: skip
        else:
            self.slots.give_back()

    def thread_came_back(self, claimed: ClaimedRun) -> None:
        """Note that a function given up earlier has returned: its slot is free again."""
        self.stray_threads -= 1
        self.slots.give_back()
        log.info(
            "run=%s: the function given up earlier returned; its slot is free again", claimed.run.id
        )

    def abandon(self, claimed: ClaimedRun, why: str) -> None:
        """
        Cancel the runner of *claimed*, if it is in it.

        Its outcome is then a transient error that says *why*.
        """
        if claimed.abandoned is None and claimed.in_runner and claimed.task is not None:
            claimed.abandoned = why
            claimed.task.cancel()

    def hand_back(self, claimed: ClaimedRun) -> None:
        """
        Give up the runner of *claimed* because the worker leaves.

        Its step counts nothing and runs again elsewhere.
        """
        claimed.is_leaving = True
        self.abandon(claimed, "the worker leaves")

    def hear(self, run_id: str, stop: StopRequest) -> None:
        """Fire the token of a run this worker holds."""
        claimed = self.runs.get(run_id)
        if claimed is not None:
            claimed.stop(stop, self.loop.time())

    def notify_inbox(self, run_id: str) -> None:
        """Tell a run this worker holds that something was put into its inbox."""
        claimed = self.runs.get(run_id)
        if claimed is not None and claimed.on_inbox is not None:
            claimed.on_inbox()

    def sweep(self) -> None:
        """
        Look for steps past their timeout, and for steps that let the grace after their token pass.
        """
        now, grace_s = self.loop.time(), self.env.settings.worker.stop_grace_s
        for claimed in list(self.runs.values()):
            if not claimed.in_runner:
                continue
            if claimed.is_lost:
                self.abandon(claimed, "the claim was lost")
            elif claimed.step_until and now >= claimed.step_until:
                self.abandon(
                    claimed,
                    f"step {claimed.run.step} took longer than its timeout of {claimed.runner.step_timeout_s:g} s",
                )
            elif (
                claimed.stopped_at
                and now >= claimed.stopped_at + grace_s
                and not claimed.run.cleanup
            ):
                self.abandon(
                    claimed,
                    f"step {claimed.run.step} did not leave within {grace_s:g} s of being told to stop",
                )


def ignore(due_at: float | None) -> None:
    """Hear of a due time and do nothing about it."""
    del due_at

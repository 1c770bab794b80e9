"""A shift: what one worker process has at hand while it works, and what it holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from stepflow.core.run import Run, Stop
from stepflow.engine.env import Desk
from stepflow.engine.gate import one_by_one, set_run_aside
from stepflow.engine.registry import Registry
from stepflow.engine.user_code.calls import call
from stepflow.store.calls import Plan
from stepflow.store.connection.async_ import Streaming, carry_out
from stepflow.worker.claimed_run import Hold
from stepflow.worker.fetcher import Slots
from stepflow.worker.threads import Threads

log = logging.getLogger("stepflow.run")

#: calls a function for a run: (run id, what it is called there, function, arguments, arguments by keyword)
Caller = Callable[[str, str, Callable[..., Any], Sequence[Any], Mapping[str, Any]], Coroutine[Any, Any, Any]]


class Shift:
    """
    The runs one worker holds and the parts it works with; lives on one event loop.

    *must_let_go* says that no run may be kept past its present step: the worker leaves, or RQ is suspended.
    """

    def __init__(
        self,
        name: str,
        desk: Desk,
        registry: Registry,
        link: Streaming,
        *,
        concurrency: int,
        queues: Sequence[str] = (),
        app_hooks: Sequence[Sequence[str]] = (),
    ) -> None:
        self.name = name
        self.desk = desk
        self.registry = registry
        self.link = link
        self.app_hooks = app_hooks
        self._queues = list(queues)
        self.loop = asyncio.get_running_loop()
        self.threads = Threads()
        self.slots = Slots(concurrency)
        self.holds: dict[str, Hold] = {}
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
        self, run_id: str, name: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """Call a function where it belongs: on the loop, or in a thread."""
        del run_id, name
        return call(function, args, kwargs, self.threads)

    def end(self) -> None:
        """Note that the worker is through: what still runs is cancelled next, and settles nothing."""
        self.is_over = True

    def take_numbers(self, count: int) -> int:
        """Reserve so many token numbers; a number is never used twice."""
        first = self._numbers
        self._numbers += count
        return first

    def rivals(self, run: Run) -> list[str]:
        """Give the lists of what this worker would claim before *run*, the last being its own: what a kept run holds up."""
        key = (run.queue, run.priority)
        if key not in self._rivals:
            place = self._queues.index(run.queue) if run.queue in self._queues else 0
            names = [name for queue in self._queues[:place] for name in self.desk.keys.rq_queues(queue)]
            names += self.desk.keys.rq_queues(run.queue)[: run.priority + 1]
            self._rivals[key] = [self.desk.keys.rq_list(name) for name in names]
        return self._rivals[key]

    def take_up(self, hold: Hold) -> None:
        """Note a hold that begins, in a slot of its own."""
        self.holds[hold.run.id] = hold
        self.slots.take()
        hold.slice_until = self.loop.time() + self.desk.settings.worker.slice_s

    def put_away(self, run: Run) -> None:
        """Set a claimed run aside whose record cannot be read."""
        if run.damage:
            self._begin_errand(f"run={run.id}", set_run_aside(run, self.desk))

    def _begin_errand(self, what: str, plan: Plan[Any]) -> None:
        async def carry() -> None:
            with one_by_one(what):
                await carry_out(self.link, plan)

        task = self.loop.create_task(carry())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def until_idle(self) -> None:
        """Wait until nothing is held, looking after time limits meanwhile."""
        while self.holds or self._errands:
            tasks = [*self._errands, *(hold.task for hold in self.holds.values() if hold.task is not None)]
            await asyncio.wait(tasks, timeout=0.1)
            self.sweep()

    def put_down(self, hold: Hold) -> None:
        """Note a hold that has ended; its slot is free, unless a function that was given up still runs in its thread."""
        if self.holds.get(hold.run.id) is hold:
            del self.holds[hold.run.id]
        if hold.thread_busy:
            self.stray_threads += 1
            log.warning(
                "run=%s step=%s: its function still runs in its thread and keeps its slot till it returns, for nothing",
                hold.run.id, hold.run.step,
            )  # fmt: skip
        else:
            self.slots.give_back()

    def thread_came_back(self, hold: Hold) -> None:
        """Note that a function given up earlier has returned: its slot is free again."""
        self.stray_threads -= 1
        self.slots.give_back()
        log.info("run=%s: the function given up earlier returned; its slot is free again", hold.run.id)

    def give_up(self, hold: Hold, why: str) -> None:
        """Cancel the runner of *hold*, if it is in it; its outcome is then a transient error that says *why*."""
        if hold.abandoned is None and hold.in_runner and hold.task is not None:
            hold.abandoned = why
            hold.task.cancel()

    def hand_back(self, hold: Hold) -> None:
        """Give up the runner of *hold* because the worker leaves; its step counts nothing and runs again elsewhere."""
        hold.leaves = True
        self.give_up(hold, "the worker leaves")

    def hear(self, run_id: str, stop: Stop) -> None:
        """Fire the token of a run this worker holds."""
        hold = self.holds.get(run_id)
        if hold is not None:
            hold.stop(stop, self.loop.time())

    def hear_news(self, run_id: str) -> None:
        """Tell a run this worker holds that something was put into its inbox."""
        hold = self.holds.get(run_id)
        if hold is not None and hold.on_news is not None:
            hold.on_news()

    def sweep(self) -> None:
        """Look for steps past their timeout, and for steps that let the grace after their token pass."""
        now, grace_s = self.loop.time(), self.desk.settings.worker.stop_grace_s
        for hold in list(self.holds.values()):
            if not hold.in_runner:
                continue
            if hold.lost:
                self.give_up(hold, "the claim was lost")
            elif hold.step_until and now >= hold.step_until:
                self.give_up(
                    hold, f"step {hold.run.step} took longer than its timeout of {hold.entry.step_timeout_s:g} s"
                )
            elif hold.stopped_at and now >= hold.stopped_at + grace_s and not hold.run.rest:
                self.give_up(hold, f"step {hold.run.step} did not leave within {grace_s:g} s of being told to stop")


def ignore(due_at: float | None) -> None:
    """Hear of a due time and do nothing about it."""
    del due_at

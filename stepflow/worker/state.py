"""What one worker process works with, and the runs it has claimed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stepflow.core.run import Run, StopRequest
from stepflow.engine.env import Env
from stepflow.engine.gate import one_by_one, set_run_aside
from stepflow.engine.outbox import app_hooks
from stepflow.engine.registry import Registry
from stepflow.engine.user_code.build import build_of
from stepflow.engine.user_code.calls import call
from stepflow.engine.user_code.middleware import around, is_ours, step_call
from stepflow.engine.user_code.resources.health import Health, HealthState
from stepflow.engine.user_code.resources.supply import supplied_step
from stepflow.engine.versions import live_builds
from stepflow.store.calls import Plan
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.durability.level import Durability
from stepflow.store.values import offloaded
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.counting.counters import Counters
from stepflow.worker.fetcher import Slots
from stepflow.worker.threads import Threads

if TYPE_CHECKING:
    from stepflow.worker.events.listeners import Listeners

log = logging.getLogger("stepflow.run")

#: calls a function for a run: (run id, its name there, function, arguments, keyword arguments,
#: threads for plain functions)
CallFunction = Callable[
    [str, str, Callable[..., Any], Sequence[Any], Mapping[str, Any], Threads],
    Coroutine[Any, Any, Any],
]


def call_function(
    run_id: str,
    name: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    threads: Threads,
) -> Coroutine[Any, Any, Any]:
    """Call a function where it belongs: on the loop, or in a thread."""
    del run_id, name
    return call(function, args, kwargs, threads)


class WorkerState:
    """
    The claimed runs of one worker and what their steps are carried out with; lives on one loop.

    *queues* are those the worker serves, the most important one first; *paused_hooks*
    are those each run of the app gets when it pauses; *on_due* is told of
    due times (unix seconds) this worker sets.
    *call_function* is how functions are called within a step: the testing harness has its own.
    """

    def __init__(
        self,
        name: str,
        env: Env,
        registry: Registry,
        connection: AsyncCaller,
        *,
        concurrency: int,
        queues: Sequence[str] = (),
        paused_hooks: Sequence[Sequence[str]] = (),
        on_due: Callable[[float | None], None] | None = None,
        call_function: CallFunction = call_function,
    ) -> None:
        self.name = name
        self.env = env
        self.registry = registry
        self.connection = connection
        #: what the calls of runs are given to whose runner has chosen a durability
        self.callers: Mapping[Durability, AsyncCaller] = {}
        #: the runs that were claimed since they were mirrored last; None where nothing is
        self.touched: set[str] | None = None
        #: by runner and end, as they are asked for
        self._app_hooks: dict[tuple[str, str], Sequence[Sequence[str]]] = {}
        self.paused_hooks = paused_hooks
        self._queues = list(queues)
        self.loop = asyncio.get_running_loop()
        self.loop_thread = threading.get_ident()
        self.threads = Threads()
        self.slots = Slots(concurrency)
        self.runs: dict[str, ClaimedRun] = {}
        #: threads whose function was abandoned and has not returned
        self.stray_threads = 0
        self.is_leaving = False
        #: whether it has ever claimed a run that has limits, itself or in its steps
        self.has_met_limits = False
        #: whether RQ is suspended
        self.is_suspended = False
        #: whether user code blocks the loop while other workers could do its work
        self.is_lagging = False
        self.health = Health()
        #: whether the worker is through: whatever is cancelled from now on is not to be settled
        self.is_over = False
        #: when the loop last turned, by its own clock; the renewing thread looks at it
        self.turned_at = self.loop.time()
        self.finished_steps = 0
        #: values that are on their way to their store
        self.offloading = 0
        self.counters = Counters()
        self.on_due = on_due or ignore
        self._meet_app()
        self.call_function = call_function
        self._builds: dict[str, str] = {}
        self._competing_lists: dict[tuple[str, int], list[str]] = {}
        self._levels: frozenset[str] = frozenset()
        self._numbers = 0
        #: tasks that set runs aside whose records cannot be read, or answer what is being done
        self._errands: set[asyncio.Task[None]] = set()

    def _meet_app(self) -> None:
        """Learn what of the app each step has to reckon with."""
        registry = self.registry
        #: tells the app's listeners; None when it has none
        self.listeners = _listeners_of(registry)
        #: told what its runs do; None when the app has none
        self.observers = registry.observers
        if self.observers is not None:
            self.observers.worker, self.observers.loop = self.name, self.loop
        #: whether there is anybody to tell
        self.is_watched = self.listeners is not None or self.observers is not None
        #: whether nothing of the app stands around the functions of steps
        self.calls_plainly = not registry.resources and not registry.middleware

    @property
    def must_let_go(self) -> bool:
        """Whether no run may be kept past its present step."""
        return self.is_leaving or self.is_suspended or self.is_lagging or self.is_unhealthy

    @property
    def health(self) -> Health:
        """How the resources of the app are, the worst of them."""
        return self._health

    @health.setter
    def health(self, health: Health) -> None:
        self._health = health
        #: whether the worker takes nothing until its resources are better
        self.is_unhealthy = health.state is HealthState.UNHEALTHY

    @property
    def builds(self) -> dict[str, str]:
        """The build of each runner, by its key."""
        return {key: self.build_of(key) for key in self.registry.runners}

    def build_of(self, key: str) -> str:
        """Give the build of a runner by its key."""
        # kept in a field: a cached_property makes every attribute of its object slow to read
        if key not in self._builds:
            self._builds[key] = build_of(self.registry.runners[key].run)
        return self._builds[key]

    def app_hooks(self, runner: str, status: str) -> Sequence[Sequence[str]]:
        """Name the hooks of the app that a run of *runner* gets when it ends by *status*."""
        if (runner, status) not in self._app_hooks:
            self._app_hooks[runner, status] = app_hooks(self.registry, runner, status)
        return self._app_hooks[runner, status]

    async def live_builds(self, run: Run) -> set[str]:
        """Give the builds that live workers of the queue of *run* have for its runner."""
        return await carry_out(self.connection, live_builds(run.runner_key, run.queue, self.env))

    def call(
        self,
        run_id: str,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Coroutine[Any, Any, Any]:
        """Call the function of the step *name* of a run, with the app's middleware around it."""
        if self.registry.resources:
            function = supplied_step(function)
        middleware = self.registry.middleware
        if not middleware or is_ours(function):
            return self.call_function(run_id, name, function, args, kwargs, self.threads)
        claimed = self.runs.get(run_id)
        call = step_call(run_id, name, args, kwargs, {} if claimed is None else claimed.headers)
        return around(
            middleware,
            call,
            lambda: self.call_function(run_id, name, function, args, kwargs, self.threads),
        )

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
        List the queues' keys that this worker would claim from before *run*, its own being last.

        A run that is kept holds up what is in them.
        """
        key = (run.queue, run.priority)
        if key not in self._competing_lists:
            place = self._queues.index(run.queue) if run.queue in self._queues else 0
            keys, own = self.env.keys, self.env.keys.queue_of(run)
            names = [
                name for queue in self._queues[:place]
                for name in keys.rq_queues(queue, self._levels)
            ]  # fmt: skip
            of_queue = keys.rq_queues(run.queue, self._levels | {own})
            names += of_queue[: of_queue.index(own) + 1]
            self._competing_lists[key] = [self.env.keys.rq_list(name) for name in names]
        return self._competing_lists[key]

    def note_levels(self, levels: Collection[str]) -> None:
        """Note which priorities without a name are in use, by their RQ queues."""
        self._levels = frozenset(levels)
        self._competing_lists.clear()

    def add(self, claimed: ClaimedRun) -> None:
        """Add a run that was just claimed; it takes a slot."""
        self.runs[claimed.run.id] = claimed
        if claimed.run.limits or claimed.run.has_asks:
            self.has_met_limits = True
        if self.touched is not None:
            self.touched.add(claimed.run.id)
        if claimed.runner.durability is not None:
            claimed.connection = self.callers.get(claimed.runner.durability)
        self.slots.take()
        claimed.slice_until = self.loop.time() + self.env.settings.worker.slice_s

    def put_away(self, run: Run) -> None:
        """Set a claimed run aside whose record cannot be read."""
        if run.damage:
            self.begin_errand(f"run={run.id}", lambda: set_run_aside(run, self.env))

    def begin_errand(self, what: str, plan: Callable[[], Plan[Any]]) -> None:
        """Carry out a plan beside the runs; a failure of it is logged."""

        async def carry() -> None:
            with one_by_one(what):
                await carry_out(self.connection, plan())

        task = self.loop.create_task(carry())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def until_idle(self) -> None:
        """Wait until no run is claimed any more, looking after time limits meanwhile."""
        while self.runs or self._errands:
            tasks = [
                *self._errands,
                *(claimed.task for claimed in self.runs.values() if claimed.task is not None),
            ]
            await asyncio.wait(tasks, timeout=0.1)
            self.sweep()

    def remove(self, claimed: ClaimedRun) -> None:
        """
        Remove a run whose claim has ended.

        Its slot is free, unless a function that was abandoned still runs in its thread.
        """
        if self.runs.get(claimed.run.id) is claimed:
            del self.runs[claimed.run.id]
        if offloaded.in_use is not None:
            # what is large goes now, and not when a collection comes
            claimed.attempt.held, claimed.attempt.step = [], None
        claimed.task = None  # its context has the run: a circle that only a collection takes apart
        if claimed.is_lost and not claimed.is_leaving:
            self.counters.note_lost_claim()
        if claimed.attempt.thread_busy:
            self.stray_threads += 1
            log.warning(
                "run=%s step=%s: its function still runs in its thread and keeps its slot till it "
                "returns, for nothing",
                claimed.run.id,
                claimed.run.step,
            )
        else:
            self.slots.give_back()

    def thread_came_back(self, claimed: ClaimedRun) -> None:
        """Free the slot of a function that was abandoned and has returned now."""
        self.stray_threads -= 1
        self.slots.give_back()
        log.info(
            "run=%s: the function given up earlier returned; its slot is free again", claimed.run.id
        )

    def abandon(self, claimed: ClaimedRun, why: str) -> None:
        """
        Cancel the runner of *claimed* if it is running.

        The outcome of its step is then a transient error that says *why*.
        """
        attempt = claimed.attempt
        if attempt.abandoned is None and attempt.in_runner and claimed.task is not None:
            attempt.abandoned = why
            claimed.task.cancel()

    def hand_back(self, claimed: ClaimedRun) -> None:
        """
        Cancel the runner of *claimed* because the worker leaves.

        The attempt does not count; the step runs again elsewhere.
        """
        claimed.is_leaving = True
        self.abandon(claimed, "the worker leaves")

    def stop(self, run_id: str, stop: StopRequest) -> None:
        """Fire the token of a run, if this worker has claimed it."""
        claimed = self.runs.get(run_id)
        if claimed is not None:
            claimed.stop(stop, self.loop.time())

    def leave_queues(self, names: Collection[str]) -> None:
        """Leave the runs of paused queues, each after its present step."""
        if names:
            for claimed in list(self.runs.values()):
                if self.env.keys.queue_name(claimed.run.queue) in names:
                    claimed.let_go()

    def let_go(self, run_id: str) -> None:
        """Leave a run after its present step, if this worker has claimed it: it is to pause."""
        claimed = self.runs.get(run_id)
        if claimed is not None:
            claimed.let_go()

    def notify_inbox(self, run_id: str) -> None:
        """Wake a run that this worker has claimed: something was put into its inbox."""
        claimed = self.runs.get(run_id)
        if claimed is not None and claimed.inbox_watch.on_inbox is not None:
            claimed.inbox_watch.on_inbox()

    def sweep(self) -> None:
        """Abandon steps past their timeout, and those past the grace after they were stopped."""
        now, grace_s = self.loop.time(), self.env.settings.worker.stop_grace_s
        for claimed in list(self.runs.values()):
            why = _why_abandoned(claimed, now, grace_s) if claimed.attempt.in_runner else None
            if why is not None:
                self.abandon(claimed, why)


def _listeners_of(registry: Registry) -> Listeners | None:
    if not registry.listeners:
        return None
    from stepflow.worker.events.listeners import Listeners  # noqa: PLC0415  few apps have any

    return Listeners(registry.listeners)


def _why_abandoned(claimed: ClaimedRun, now: float, grace_s: float) -> str | None:
    """Say why the runtime cancels the runner at loop time *now*, or None to let it go on."""
    run, attempt = claimed.run, claimed.attempt
    if claimed.is_lost:
        return "the claim was lost"
    if attempt.step_until and now >= attempt.step_until:
        limit_s = claimed.runner.step_timeout_s
        return f"step {run.step} took longer than its timeout of {limit_s:g} s"
    has_time = run.cleanup and not run.is_timed_out_for_good
    if claimed.stopped_at and now >= claimed.stopped_at + grace_s and not has_time:
        return f"step {run.step} did not leave within {grace_s:g} s of being told to stop"
    return None


def ignore(due_at: float | None) -> None:
    """Do nothing about a due time."""
    del due_at

"""
The functions RQ calls by name, and the process that `stepflow worker` is.

`stepflow.entry.run_step` and `run_hook` are wire format: RQ stores the dotted path with every job. They never move.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from stepflow.app import Stepflow
from stepflow.engine.desk import Desk
from stepflow.engine.single import work_one
from stepflow.engine.worker import Worker, WorkerOptions, describe, new_worker_name
from stepflow.errors import AppNotFound, StepflowError
from stepflow.hooks.deliver import Deliverer
from stepflow.hooks.schedule import next_wait_s
from stepflow.queue.worker import StepWorker, rq_worker
from stepflow.store.address import Address
from stepflow.store.fitness import check_server
from stepflow.store.keys import Keys
from stepflow.store.link import BlockingLink, carry_out, connect, in_our_words

try:
    import uvloop
except ImportError:
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_loop = uvloop.new_event_loop

T = TypeVar("T")

log = logging.getLogger("stepflow.worker")

#: the variable that says which app a stock `rq worker` serves
APP_VARIABLE = "STEPFLOW_APP"
#: the variable in which a supervisor leaves its pid: a worker whose supervisor is gone leaves too
SUPERVISOR_VARIABLE = "STEPFLOW_SUPERVISOR"
#: exit code of a worker that left because functions that do not return took all its slots, or its loop
STUCK = 75
#: new objects between two looks of the garbage collector: a hundred steps in progress have that many, few of them garbage
YOUNG_OBJECTS = 10_000


def load_app(target: str) -> Stepflow:
    """Import `package.module:app`, the working directory on the path; raises AppNotFound saying what is wrong."""
    module_name, colon, name = target.partition(":")
    if not module_name or not colon or not name:
        raise AppNotFound(target, "that is no module and name")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise AppNotFound(target, f"there is no module {error.name!r} on the path, nor in {Path.cwd()}") from None
        raise
    app = getattr(module, name, None)
    if not isinstance(app, Stepflow):
        raise AppNotFound(target, f"{module_name!r} has no Stepflow object called {name!r}")
    return app


def work(app: Stepflow, options: WorkerOptions, *, url: str | None = None) -> int:
    """
    Be one worker process until told to leave; gives the exit code.

    Refuses a Redis that cannot carry stepflow (ServerUnfit) and logs what may lose data. SIGTERM or SIGINT begins a
    graceful end, a second one ends at once.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_early)
    address = Address.parse(url or app.url)
    check(address, retry_for_s=app.settings.redis.retry_for_s)
    keys = Keys(app.namespace)
    names = [name for queue in options.queues for name in keys.rq_queues(queue)]
    names.append(keys.hook_queue)
    left: list[int] = []

    def drive(rq_side: StepWorker, burst: bool) -> bool:  # noqa: FBT001
        options.burst = options.burst or burst
        left.append(run_on_loop(lambda: serve(app, options, str(url or app.url), rq_side)))
        return True

    facts = {"runners": ",".join(sorted(app.registry.runners)), **describe(options)}
    with in_our_words(address):
        rq_worker(options.name, names, connect(address), drive, facts).work()
    logging.shutdown()
    return left[0] if left else 0


def _leave_early(number: int, frame: object) -> NoReturn:
    """End a process that has claimed nothing yet; what it has told RQ of itself is taken back on the way out."""
    del number, frame
    raise SystemExit(0)


def check(address: Address, *, retry_for_s: float = 10.0) -> None:
    """Refuse a Redis that cannot carry stepflow, and log what may lose data on one that can."""
    link = BlockingLink.to(address, retry_for_s=retry_for_s)
    try:
        for warning in carry_out(link, check_server()):
            log.warning("Redis at %s: %s", address.shown, warning)
    finally:
        link.close()


async def serve(app: Stepflow, options: WorkerOptions, url: str, rq_side: StepWorker) -> int:
    """Run the worker on this loop with its signals; gives the exit code."""
    async with Deliverer(app.settings.webhook) as deliverer:
        worker: Worker

        def beat() -> None:
            done = worker.shift.finished_steps if worker.shift is not None else 0
            rq_side.beat(busy=worker.is_busy, done=done)

        worker = app.make_worker(options, deliver=deliverer, url=url, beat=beat, on_blocked=lambda: _leave_now(STUCK))
        _heed_signals(worker)
        watch = asyncio.ensure_future(_leave_with_supervisor(worker))
        _collect_less()
        try:
            await worker.run()
        finally:
            watch.cancel()
    if worker.stuck:
        _leave_now(STUCK)
    return 0


def _collect_less() -> None:
    """Have the garbage collector pass over what is there already and look less often: a sixth of a `ctx.step` was its."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def _heed_signals(worker: Worker) -> None:
    loop = asyncio.get_running_loop()
    heard: list[int] = []

    def on_signal(number: int) -> None:
        if heard:
            log.warning("second signal: leaving at once; what is in hand runs again elsewhere")
            _leave_now(128 + number)
        heard.append(number)
        worker.leave()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


async def _leave_with_supervisor(worker: Worker) -> None:
    """Leave when the supervisor that started this process is gone: somebody else starts workers now."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    while supervisor is not None:
        await asyncio.sleep(1.0)
        if os.getppid() != int(supervisor):
            log.warning("the supervisor is gone; leaving")
            worker.leave()
            return


def _leave_now(code: int) -> None:
    """End the process without waiting for threads."""
    logging.shutdown()
    os._exit(code)


def run_on_loop(work_: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a fresh loop: uvloop's when it is installed."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work_())


class RQWorker(StepWorker):
    """`STEPFLOW_APP=package.module:app rq worker -w stepflow.entry.RQWorker -u URL default`."""

    def drive(self, rq_side: StepWorker, burst: bool) -> bool:  # noqa: FBT001
        """Work the queues RQ was told of with the app of STEPFLOW_APP."""
        app = _app_of_environment()
        queues = list(dict.fromkeys(Keys(app.namespace).split_queue(name)[0] for name in rq_side.queue_names()))
        options = WorkerOptions(queues, app.settings.worker.concurrency, burst, rq_side.name)
        run_on_loop(lambda: serve(app, options, app.url, rq_side))
        return True


def run_step(namespace: str, rq_id: str) -> None:
    """Carry out one step: what a stock RQ worker calls. Needs STEPFLOW_APP; safe to call twice."""
    _run_one(namespace, rq_id)


def run_hook(namespace: str, rq_id: str) -> None:
    """Deliver one hook: what a stock RQ worker calls. Needs STEPFLOW_APP; safe to call twice."""
    _run_one(namespace, rq_id)


def _run_one(namespace: str, rq_id: str) -> None:
    app = _app_of_environment()

    async def one() -> None:
        async with Deliverer(app.settings.webhook) as deliverer:
            await work_one(
                rq_id, new_worker_name(), Address.parse(app.url), Desk(Keys(namespace), app.settings), app.registry,
                deliver=app.delivering(deliverer), next_wait=next_wait_s,
            )  # fmt: skip

    asyncio.run(one())


def _app_of_environment() -> Stepflow:
    target = os.environ.get(APP_VARIABLE)
    if not target:
        msg = f"set {APP_VARIABLE}=package.module:app, so that a stock RQ worker knows which app's steps to run"
        raise StepflowError(msg)
    return load_app(target)

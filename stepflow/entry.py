"""
The functions RQ calls by name, and the process that `stepflow worker` is.

`stepflow.entry.run_step` and `run_hook` are wire format: RQ stores the dotted path with every job.
They never move.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from stepflow.app import CoreApp
from stepflow.engine.env import Env
from stepflow.errors import (
    AppNotFound,
    RedisRefused,
    RedisUnreachable,
    RightsMissing,
    StepflowError,
)
from stepflow.hooks.late import LateDeliverer
from stepflow.hooks.schedule import next_wait_s
from stepflow.loop import run_on_loop
from stepflow.process import ASTRAY, STUCK, Departure, end_now, end_worker
from stepflow.rq.worker import StepWorker, rq_worker
from stepflow.store.connection.address import Address
from stepflow.store.connection.error_replies import may_pass
from stepflow.store.connection.redis_py import connect, redis_errors_as_ours
from stepflow.store.connection.retry_waits import growing_waits, warn_rarely
from stepflow.store.connection.server_check import check_server
from stepflow.store.connection.sync import SyncConnection, carry_out
from stepflow.store.durability.level import Durability
from stepflow.store.durability.losses import load_persistence
from stepflow.store.keys import Keys
from stepflow.store.rights import WORKER, missing_rights
from stepflow.worker.single import work_one
from stepflow.worker.worker import Worker, WorkerOptions, facts_of, new_worker_name

log = logging.getLogger("stepflow.worker")

#: the variable that says which app a stock `rq worker` serves
APP_VARIABLE = "STEPFLOW_APP"
#: the variable in which a supervisor leaves its pid: a worker whose supervisor is gone leaves too
SUPERVISOR_VARIABLE = "STEPFLOW_SUPERVISOR"
#: the variable with the number of a file that a worker writes to and closes once it takes claims
READY_VARIABLE = "STEPFLOW_READY_FD"
#: seconds between checks that the signals are still ours and the supervisor is there
WATCH_S = 0.1
#: new objects between two looks of the garbage collector: a hundred steps in progress have that
#: many, few of them garbage
YOUNG_OBJECTS = 10_000


def load_app(target: str) -> CoreApp:
    """
    Import `package.module:app`, the working directory on the path.

    Raises AppNotFound saying what is wrong.
    """
    module_name, colon, name = target.partition(":")
    if not module_name or not colon or not name or module_name.endswith(".py"):
        meant = _module_meant(module_name)
        problem = "that is a file" if module_name.endswith(".py") else "that is no module and name"
        raise AppNotFound(target, problem, f"did you mean {meant}:{name or 'app'}?")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (
            module_name == error.name or module_name.startswith(f"{error.name}.")
        ):
            problem = f"there is no module {error.name!r} on the path, nor in {Path.cwd()}"
            near = _near(module_name, [path.stem for path in Path.cwd().glob("*.py")])
            hints = [f"did you mean {near}:{name}?"] if near else []
            raise AppNotFound(target, problem, *hints) from None
        raise
    app = getattr(module, name, None)
    if not isinstance(app, CoreApp):
        apps = [one for one, value in vars(module).items() if isinstance(value, CoreApp)]
        hints = [f"did you mean {module_name}:{apps[0]}?"] if apps else []
        raise AppNotFound(target, f"{module_name!r} has no Stepflow object called {name!r}", *hints)
    return app


def _module_meant(given: str) -> str:
    """Return the module that a path such as `shop/more.py` is; as it is given where it is none."""
    return given.removesuffix(".py").strip("./").replace("/", ".") or "package.module"


def _near(name: str, known: list[str]) -> str | None:
    return next(iter(get_close_matches(name, known, n=1)), None)


def work(app: CoreApp, options: WorkerOptions, *, url: str | None = None) -> int:
    """
    Be one worker process until told to leave, and return the exit code: not 0 if nobody told it.

    Refuses a Redis that cannot carry stepflow (ServerUnfit) and logs what may lose data. SIGTERM or
    SIGINT begins a graceful end, a second one ends at once. The process is gone ten seconds after
    the grace, whatever user code does.
    """
    departure = Departure(app.settings.worker.grace_s)
    departure.take_signals()
    address = Address.parse(url or app.url, app.settings.redis)
    keys = Keys(app.namespace)
    names = [name for queue in options.queues for name in keys.rq_queues(queue)]
    names.append(keys.hook_queue)
    left: list[int] = []

    def drive(rq_side: StepWorker, burst: bool) -> bool:  # noqa: FBT001
        departure.leave_if_told()
        options.burst = options.burst or burst
        left.append(live(app, options, str(url or app.url), rq_side, departure))
        return True

    facts = {"runners": ",".join(sorted(app.registry.runners)), **facts_of(options)}
    try:
        _register_and_work(
            address,
            keys,
            lambda: rq_worker(options.name, names, connect(address), drive, facts),
            departure.wait,
            app.settings.durability,
        )
    finally:
        departure.begin()
    return left[0] if left else 0


def _register_and_work(
    address: Address,
    keys: Keys,
    make: Callable[[], StepWorker],
    wait: Callable[[float], None],
    durability: Durability,
) -> None:
    """
    Register with RQ and work.

    Waits for a server that becomes a replica just then, and connects anew where a connection is cut
    just then, as long as the server passes `check`.
    """
    for wait_s in growing_waits():
        check_redis(address, keys, wait, durability=durability)
        worker = None
        try:
            with redis_errors_as_ours(address):
                worker = make()
                worker.work()
            return
        except (RedisRefused, RedisUnreachable) as error:
            passes = isinstance(error, RedisUnreachable) or may_pass(error)
            if not passes or (worker is not None and worker.has_driven):
                raise
            warn_rarely(log, f"Redis at {address.shown}: {error}; waiting for it")
            wait(wait_s)


def check_redis(
    address: Address,
    keys: Keys,
    wait: Callable[[float], None] = time.sleep,
    *,
    durability: Durability = "everysec",
) -> None:
    """
    Refuse a Redis that cannot carry stepflow, or whose user lacks rights; log what may lose data.

    Waits for one that loads its data, or is a replica now, as long as it takes, and logs that.
    Raises ServerUnfit or RightsMissing.
    """
    connection = SyncConnection.to(address)
    connection.wait = wait
    try:
        for wait_s in growing_waits():
            try:
                warnings, waits_for = carry_out(connection, check_server())
            except RedisRefused as error:
                if not may_pass(error):
                    raise
                waits_for = str(error)
            if waits_for is None:
                break
            warn_rarely(log, f"Redis at {address.shown}: {waits_for}; waiting for it")
            connection.close()  # the name, or the sentinels, are asked anew
            wait(wait_s)
        for warning in warnings:
            log.warning("Redis at %s: %s", address.shown, warning)
        loss = carry_out(connection, load_persistence()).loss_at(durability)
        log.info("Redis at %s: %s", address.shown, loss)
        lacking = carry_out(connection, missing_rights(WORKER, keys))
        if lacking:
            raise RightsMissing(address.username or "default", WORKER.name, lacking)
    finally:
        connection.close()


def live(
    app: CoreApp, options: WorkerOptions, url: str, rq_side: StepWorker, departure: Departure
) -> int:
    """Run the worker on a loop that user code cannot end; return the exit code."""
    try:
        departure.code = run_on_loop(lambda: serve(app, options, url, rq_side, departure))
    except asyncio.CancelledError:
        log.critical(
            "user code cancelled the worker's own tasks; this worker ends, "
            "what it had claimed runs again elsewhere"
        )
        departure.code = ASTRAY
    return departure.code


async def serve(
    app: CoreApp, options: WorkerOptions, url: str, rq_side: StepWorker, departure: Departure
) -> int:
    """Run the worker on this loop with its signals; return the exit code."""
    async with LateDeliverer(app.settings.webhook) as deliverer:
        worker: Worker

        def heartbeat() -> None:
            rq_side.write_heartbeat(
                busy=worker.is_busy, done=worker.finished_steps, condition=worker.condition
            )

        worker = app.make_worker(
            options,
            deliver=deliverer,
            url=url,
            heartbeat=heartbeat,
            on_blocked=lambda: end_now(STUCK),
        )
        departure.on_loop(worker.leave, in_progress=worker.what_keeps_it)
        helpers = [
            asyncio.ensure_future(_watch(worker, departure)),
            asyncio.ensure_future(_say_ready(worker)),
        ]
        _collect_less()
        try:
            if not departure.is_told:
                await worker.run()
        finally:
            departure.begin()
            for helper in helpers:
                helper.cancel()
        # nothing is claimed any more: should user code keep the process, it has left all the same
        departure.code = 0
    if worker.is_stuck:
        end_now(STUCK)
    return 0


def _collect_less() -> None:
    """
    Have the garbage collector skip what is there already, and run less often.

    It took a sixth of the time of a `ctx.step`.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


async def _watch(worker: Worker, departure: Departure) -> None:
    """
    Keep the signals ours, and leave when the supervisor that started this process is gone.

    Whoever starts a new supervisor gets new workers.
    """
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    while True:
        await asyncio.sleep(WATCH_S)
        departure.keep_signals()
        if supervisor is not None and os.getppid() != int(supervisor):
            log.warning("the supervisor is gone; leaving")
            supervisor = None
            departure.begin()
            worker.leave()


async def _say_ready(worker: Worker) -> None:
    """
    Tell the supervisor that this worker takes claims.

    Should it die from now on, it does not count as one that cannot start.
    """
    descriptor = os.environ.pop(READY_VARIABLE, None)
    if descriptor is None:
        return
    os.set_inheritable(int(descriptor), False)  # noqa: FBT003
    await worker.ready.wait()
    with suppress(OSError):
        os.write(int(descriptor), b"ready")
        os.close(int(descriptor))


class RQWorker(StepWorker):
    """`STEPFLOW_APP=package.module:app rq worker -w stepflow.entry.RQWorker -u URL default`."""

    def drive(self, rq_side: StepWorker, burst: bool) -> bool:  # noqa: FBT001
        """Work the queues RQ was told of with the app of STEPFLOW_APP."""
        app = _app_of_environment()
        queues = list(
            dict.fromkeys(
                Keys(app.namespace).split_queue(name)[0] for name in rq_side.queue_names()
            )
        )
        options = WorkerOptions(queues, app.settings.worker.concurrency, burst, rq_side.name)
        departure = Departure(app.settings.worker.grace_s)
        departure.take_signals()
        self._left_with = live(app, options, app.url, rq_side, departure)
        return True

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """
        Work as any worker does, and end the process.

        RQ's command line would wait for threads of user code.
        """
        worked = super().work(*args, **kwargs)
        end_worker(self._left_with)
        return worked


def run_step(namespace: str, rq_id: str) -> None:
    """Carry out one step: what a stock RQ worker calls. Needs STEPFLOW_APP; safe to call twice."""
    _run_one(namespace, rq_id)


def run_hook(namespace: str, rq_id: str) -> None:
    """Deliver one hook: what a stock RQ worker calls. Needs STEPFLOW_APP; safe to call twice."""
    _run_one(namespace, rq_id)


def _run_one(namespace: str, rq_id: str) -> None:
    app = _app_of_environment()

    async def one() -> None:
        async with LateDeliverer(app.settings.webhook) as deliverer:
            await work_one(
                rq_id, new_worker_name(), Address.parse(app.url, app.settings.redis),
                Env(Keys(namespace), app.settings), app.registry, deliver=app.delivering(deliverer),
                next_wait=next_wait_s,
            )  # fmt: skip

    asyncio.run(one())


def _app_of_environment() -> CoreApp:
    target = os.environ.get(APP_VARIABLE)
    if not target:
        msg = (
            f"set {APP_VARIABLE}=package.module:app, "
            "so that a stock RQ worker knows which app's steps to run"
        )
        raise StepflowError(msg)
    return load_app(target)

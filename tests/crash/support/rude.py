"""
An app whose code does to its process what code may not: each runner is named for it; what it does,
it does once.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import ctypes
import faulthandler
import logging
import logging.config
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from stepflow import Context, RetryPolicy, Step, Stepflow, Succeed

QUICK = RetryPolicy(max_attempts=3, initial=0.05, max_delay=0.2)
WITNESS = Path(os.environ["CRASH_WITNESS"])

app = Stepflow()


class Raising(logging.Handler):
    """A handler of an app that has a bug."""

    def emit(self, record: logging.LogRecord) -> None:
        """Raise for every line."""
        raise ValueError(record)


def configure(way: str) -> None:
    """Configure logging as apps do it."""
    console = {"handlers": {"console": {"class": "logging.StreamHandler"}}}
    match way:
        case "dictConfig":
            logging.config.dictConfig(
                {"version": 1, **console, "root": {"level": "WARNING", "handlers": ["console"]}}
            )
        case "no handlers":
            logging.config.dictConfig({"version": 1, "root": {"level": "CRITICAL", "handlers": []}})
        case "a file":
            logging.basicConfig(filename=os.devnull, level="ERROR", force=True)
        case "disable":
            logging.disable(logging.CRITICAL)
        case "ours to a file":
            null = {"null": {"class": "logging.NullHandler"}}
            ours = {"stepflow": {"handlers": ["null"], "propagate": False}}
            logging.config.dictConfig({"version": 1, "handlers": null, "loggers": ours})
        case "raising":
            logging.root.addHandler(Raising())
        case "stderr closed":
            logging.basicConfig(level="INFO")
            sys.stderr = None
        case "ours quiet":
            logging.getLogger("stepflow").setLevel("ERROR")


configure(os.environ.get("CRASH_LOGGING", ""))


def is_first(step: Step[Any]) -> bool:
    """
    Say whether no one has done this for the run before, in any process; and note that it is done
    now.
    """
    line = f"{step.run_id} done"
    if line in WITNESS.read_text().splitlines():
        return False
    with WITNESS.open("a") as file:
        file.write(f"{line}\n")
    return True


@app.runner("hello", retry=QUICK)
async def hello(step: Step[Any]) -> Succeed:
    await asyncio.sleep(step.payload or 0)
    return Succeed(os.getpid())


# what comes out of the loop


async def leave() -> None:
    """Raise SystemExit in a task."""
    sys.exit(3)


def interrupt() -> None:
    raise KeyboardInterrupt


async def in_a_group(step: Step[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(leave())
        group.create_task(asyncio.sleep(1))


async def in_a_gather(step: Step[Any]) -> None:
    await asyncio.gather(leave(), asyncio.sleep(0.1))


async def in_a_leaked_task(step: Step[Any]) -> None:
    asyncio.get_running_loop().create_task(leave())
    await asyncio.sleep(0.05)


async def in_callbacks(step: Step[Any]) -> None:
    for _ in range(200):
        asyncio.get_running_loop().call_soon(interrupt)
    await asyncio.sleep(0.05)


async def stopped_loop(step: Step[Any]) -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.05)


async def raising_alarm(step: Step[Any]) -> None:
    """Have a time limit that is not taken back; it passes while the worker idles."""

    def too_late(number: int, frame: object) -> None:
        raise TimeoutError("alarm")

    signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    await asyncio.sleep(0.6)


async def in_a_thread(step: Step[Any]) -> None:
    threading.Thread(target=sys.exit).start()
    threading.Thread(target=interrupt).start()
    await asyncio.sleep(0.05)


async def odd_settings(step: Step[Any]) -> None:
    sys.settrace(lambda *_: None)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: sys.exit(1))
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
    loop.call_soon(lambda: 1 / 0)
    threading.excepthook = lambda *_: sys.exit(1)
    sys.excepthook = lambda *_: sys.exit(1)
    sys.unraisablehook = lambda *_: sys.exit(1)
    os.chdir("/")
    os.umask(0o777)
    with suppress(RuntimeError):
        loop.close()
    await asyncio.sleep(0.05)


async def own_signals(step: Step[Any]) -> None:
    """Have handlers of one's own, by both ways; they work."""
    heard, loop = [asyncio.Event(), asyncio.Event()], asyncio.get_running_loop()
    signal.signal(signal.SIGUSR1, lambda *_: loop.call_soon_threadsafe(heard[0].set))
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(heard[0].wait(), 10)
    loop.add_signal_handler(signal.SIGUSR2, heard[1].set)
    await asyncio.sleep(0.6)  # longer than the worker takes to look for its own
    os.kill(os.getpid(), signal.SIGUSR2)
    await asyncio.wait_for(heard[1].wait(), 10)


async def own_processes(step: Step[Any]) -> None:
    """Have processes by the loop; they work."""
    true = await asyncio.create_subprocess_exec("true")
    assert await asyncio.wait_for(true.wait(), 10) == 0
    sleep = await asyncio.create_subprocess_exec("sleep", "60")
    sleep.terminate()
    assert await asyncio.wait_for(sleep.wait(), 10) == -signal.SIGTERM


async def taken_signals(step: Step[Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print, "mine")
    await asyncio.sleep(0.05)


HARMLESS = {
    function.__name__: function
    for function in (
        in_a_group, in_a_gather, in_a_leaked_task, in_callbacks, raising_alarm, stopped_loop,
        in_a_thread, odd_settings, taken_signals, own_signals, own_processes,
    )
}  # fmt: skip


@app.runner("harmless", retry=QUICK)
async def harmless(step: Step[Any]) -> Succeed:
    """Do what must not end the process; the attempt may fail of it."""
    if is_first(step):
        await HARMLESS[step.payload](step)
    return Succeed(os.getpid())


# what ends the process


async def cancel_all(step: Step[Any]) -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(1)


async def cancel_the_others(step: Step[Any]) -> None:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(1)


DEADLY = {
    "exit 0": lambda step: os._exit(0),
    "exit 1": lambda step: os._exit(1),
    "kill": lambda step: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda step: os.kill(os.getpid(), signal.SIGTERM),
    "interrupt": lambda step: signal.raise_signal(signal.SIGINT),
    "alarm": lambda step: signal.alarm(1),
    "segfault": lambda step: ctypes.string_at(0),
    "files": lambda step: os.closerange(3, 256),
    "dump": lambda step: faulthandler.dump_traceback_later(0.1, exit=True),
    "cancel all": cancel_all,
    "cancel the others": cancel_the_others,
}


@app.runner("deadly", retry=QUICK)
async def deadly(step: Step[Any]) -> Succeed:
    """Do what ends the process, once."""
    if is_first(step):
        done = DEADLY[step.payload](step)
        if asyncio.iscoroutine(done):
            await done
        await asyncio.sleep(5)
    return Succeed(os.getpid())


# what does not let go


def for_ever() -> None:
    while True:
        time.sleep(600)


async def swallow(step: Step[Any]) -> None:
    while True:
        with suppress(BaseException):
            await asyncio.sleep(600)


async def sleep_on_the_loop(step: Step[Any]) -> None:
    time.sleep(600)


async def spin(step: Step[Any]) -> None:
    while True:
        pass


async def wait_in_c(step: Step[Any]) -> None:
    """Wait where no handler of Python's can run: this C function goes on waiting after a signal."""
    ctypes.CDLL(None).system(b"sleep 30")


async def threads(step: Step[Any]) -> None:
    threading.Thread(target=for_ever, name="users-own").start()
    asyncio.get_running_loop().run_in_executor(None, for_ever)
    concurrent.futures.ThreadPoolExecutor(1).submit(for_ever)


async def children(step: Step[Any]) -> None:
    multiprocessing.get_context("fork").Process(target=for_ever).start()
    multiprocessing.get_context("fork").Process(target=for_ever, daemon=True).start()


async def hooks(step: Step[Any]) -> None:
    atexit.register(for_ever)


async def handler(step: Step[Any]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)


async def generator(step: Step[Any]) -> None:
    async def numbers() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(600)

    kept = numbers()
    await anext(kept)
    step.cancel.kept = kept  # type: ignore[attr-defined]


STICKY = {
    function.__name__: function
    for function in (
        swallow, sleep_on_the_loop, spin, wait_in_c, threads, children, hooks, handler, generator,
    )
}  # fmt: skip


@app.runner("sticky", retry=QUICK)
async def sticky(step: Step[Any]) -> Succeed:
    """Do what must not keep the process; succeed where it is done already."""
    if is_first(step):
        await STICKY[step.payload](step)
        await asyncio.sleep(600)
    return Succeed(os.getpid())


@app.runner("sticky-plain", retry=QUICK)
def sticky_plain(step: Step[Any]) -> Succeed:
    if is_first(step):
        for_ever()
    return Succeed(os.getpid())


# forks


def square(number: int) -> int:
    return number * number


def pools(count: int) -> None:
    """Make pools, whose children are sent SIGTERM at the end, one after another."""
    for _ in range(count):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(square, range(4)) == [0, 1, 4, 9]


@app.runner("pools", retry=QUICK)
async def pools_on_the_loop(step: Step[Any]) -> Succeed:
    pools(step.payload)
    return Succeed(os.getpid())


@app.runner("pools-plain", retry=QUICK)
def pools_in_a_thread(step: Step[Any]) -> Succeed:
    pools(step.payload)
    return Succeed(os.getpid())


@app.runner("other-kinds", retry=QUICK)
def other_kinds(step: Step[Any]) -> Succeed:
    """Use every other way to another process."""
    found: list[Any] = [subprocess.run(["true"], check=False, preexec_fn=os.setsid).returncode]
    sleeper = subprocess.Popen(["sleep", "60"])
    sleeper.terminate()
    found.append(sleeper.wait())
    for kind in ("spawn", "forkserver"):
        with multiprocessing.get_context(kind).Pool(1) as pool:
            found.append(pool.map(square, [3]))
    with concurrent.futures.ProcessPoolExecutor(1) as executor:
        found.append(executor.submit(square, 4).result())
    return Succeed(found)


async def child_returns() -> int:
    return os.fork()


async def child_raises() -> int:
    pid = os.fork()
    if pid == 0:
        raise ValueError("in the child")
    return pid


async def child_exits() -> int:
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    return pid


async def child_waits() -> int:
    pid = os.fork()
    if pid == 0:
        await asyncio.sleep(0)
    return pid


async def child_is_told() -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
    os.kill(pid, signal.SIGTERM)
    return pid


CHILDREN = {
    function.__name__: function
    for function in (child_returns, child_raises, child_exits, child_waits, child_is_told)
}


@app.runner("fork", retry=QUICK)
async def fork(step: Step[Any]) -> Succeed:
    """Fork by hand, and tell how the child ended."""
    pid = await CHILDREN[step.payload]()
    if pid == 0:
        return Succeed("the child's")
    _, status = os.waitpid(pid, 0)
    return Succeed(os.waitstatus_to_exitcode(status))


@app.runner("fork-plain", retry=QUICK)
def fork_plain(step: Step[Any]) -> Succeed:
    pid = os.fork()
    if pid == 0 and step.payload == "child_exits":
        sys.exit(7)
    if pid == 0 and step.payload == "child_raises":
        raise ValueError("in the child")
    if pid == 0:
        return Succeed()
    _, status = os.waitpid(pid, 0)
    return Succeed(os.waitstatus_to_exitcode(status))


@app.workflow("fork-workflow", retry=QUICK)
async def fork_workflow(ctx: Context, how: str) -> int:
    """Fork in the body of a workflow, where something has been raised and caught before."""
    with suppress(ZeroDivisionError):
        1 // 0  # noqa: B018
    pid = await CHILDREN[how]()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else 0


# logging


@app.runner("configure", retry=QUICK)
async def configure_later(step: Step[Any]) -> Succeed:
    configure(step.payload)
    return Succeed()


@app.runner("closed-stderr", retry=QUICK)
async def closed_stderr(step: Step[Any]) -> Succeed:
    """Close the standard files, as one does to become a daemon."""
    for number in range(3):
        os.close(number)
    return Succeed()


if "CRASH_THREAD" in os.environ:  # a module that starts threads when it is imported
    threading.Thread(target=for_ever).start()

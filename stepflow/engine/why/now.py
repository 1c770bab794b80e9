"""
What a worker is doing for a run right now, with the stack of the code that does it.

The worker that has the run is asked over its channel and answers into a key of a few seconds.
Nothing is written unless somebody asks.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepflow.core.ids import worker_of
from stepflow.engine.env import Env
from stepflow.errors import NotRunning, RunNotFound, StepflowError
from stepflow.store.evidence.now import ask_worker, load_answer
from stepflow.store.runs import load_run
from stepflow.store.values.codec import pack, unpack
from stepflow.times import as_datetime

#: seconds that a worker has to answer, and seconds between two looks for its answer
ANSWER_S, LOOK_S = 2.0, 0.03
#: what a worker answers that does not have the run
MOVED_ON = b"moved on"


@dataclass(frozen=True, slots=True)
class NowStep:
    """
    An attempt in progress.

    *name* is that of the step, or its number in a run of a runner. *stack* is where its code is,
    the innermost call last, each as `file:line function`. *in_thread* for a plain function.
    """

    name: str
    attempt: int
    since: datetime | None
    stack: Sequence[str] = ()
    in_thread: bool = False


@dataclass(frozen=True, slots=True)
class BlockedLoop:
    """What keeps the event loop of a worker from turning, and the run whose code it is."""

    since: datetime | None
    run_id: str | None
    stack: Sequence[str]


@dataclass(frozen=True, slots=True)
class Now:
    """
    What a worker is doing for a run, as it said at *at*.

    *steps* is empty when only the runtime is at work, at a commit say; *more* counts the attempts
    beyond those. *blocked* is set while code keeps the loop of the worker from turning.
    """

    run_id: str
    worker: str
    at: datetime | None
    steps: Sequence[NowStep]
    more: int = 0
    blocked: BlockedLoop | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A worker that was asked, and under which id it answers."""

    run_id: str
    worker: str
    ask_id: str


async def ask_now(run_id: str, env: Env) -> Asked:
    """Ask the worker that has a run; raises RunNotFound, and NotRunning when none has it."""
    run = await load_run(env.keys, run_id)
    if run is None:
        raise RunNotFound(run_id)
    if not run.is_claimed:
        raise NotRunning(run_id, str(run.state))
    asked = Asked(run_id, worker_of(run.token), secrets.token_hex(8))
    await ask_worker(env.keys, asked.worker, run_id, asked.ask_id)
    return asked


async def read_now(asked: Asked, env: Env) -> Now | Asked:
    """
    Read the answer; while there is none, give what is to be read next.

    That is the worker that has the run now, where the one that was asked has left it, or has not
    begun with it. Raises NotRunning when none has it any more.
    """
    packed = await load_answer(env.keys, asked.ask_id)
    if packed is None:
        return asked
    if packed == MOVED_ON:
        return await ask_now(asked.run_id, env)
    try:
        return _read(asked, unpack(packed))
    except (StepflowError, KeyError, TypeError, ValueError):  # of another version of stepflow
        return asked


def pack_now(
    at: float, steps: Sequence[Sequence[Any]], *, more: int, blocked: Sequence[Any] | None
) -> bytes:
    """
    Pack an answer.

    A step is (name, attempt, since, in_thread, stack), *blocked* (since, run id or "", stack);
    times are unix seconds.
    """
    return pack({"at": at, "steps": steps, "more": more, "blocked": blocked}, in_clear=True)


def _read(asked: Asked, said: Mapping[str, Any]) -> Now:
    steps = [
        NowStep(
            str(name), int(attempt), as_datetime(float(since)), [str(line) for line in stack],
            in_thread=bool(in_thread),
        )
        for name, attempt, since, in_thread, stack in said["steps"]
    ]  # fmt: skip
    blocked = None
    if said["blocked"] is not None:
        since, run_id, stack = said["blocked"]
        lines = [str(line) for line in stack]
        blocked = BlockedLoop(as_datetime(float(since)), str(run_id) or None, lines)
    at = as_datetime(float(said["at"]))
    return Now(asked.run_id, asked.worker, at, steps, int(said["more"]), blocked)

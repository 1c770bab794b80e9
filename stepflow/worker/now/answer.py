"""
A worker answers what it is doing for a run.

As a rule on its loop, when the message comes over its channel. While user code keeps the loop from
turning, a thread of the worker looks for the same message in a list and answers in its place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from stepflow.core.under_way import MOST_UNDER_WAY, UnderWay
from stepflow.engine.why.now import MOVED_ON, pack_now
from stepflow.store.connection.sync import SyncCaller
from stepflow.store.evidence.now import save_answer, take_asks
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.now.stacks import stack_of_loop, stack_of_task
from stepflow.worker.state import WorkerState


def answer(run_id: str, ask_id: str, state: WorkerState) -> None:
    """Answer from the loop."""
    packed = _look(run_id, state)
    state.begin_errand(f"run={run_id}", lambda: _save(ask_id, packed, state))


async def _save(ask_id: str, packed: bytes, state: WorkerState) -> None:
    await save_answer(state.env.keys, ask_id, packed)


def answer_blocked(state: WorkerState, connection: SyncCaller) -> None:
    """Answer in a thread what the loop was asked while it does not turn."""
    keys = state.env.keys
    for asked in connection.call(take_asks(keys, state.name)):
        packed = _look(asked.run_id, state, is_blocked=True)
        connection.call(save_answer(keys, asked.ask, packed))


def _look(run_id: str, state: WorkerState, *, is_blocked: bool = False) -> bytes:
    """Make the answer."""
    claimed = state.runs.get(run_id)
    if claimed is None:
        return MOVED_ON
    found = claimed.under_way()
    running = asyncio.current_task(state.loop) if is_blocked else None
    now = state.env.clock.now()
    blocked = None
    if is_blocked:
        still_s = time.monotonic() - state.turned_at
        stack = stack_of_loop(state.loop_thread)
        blocked = (now - still_s, _run_of(running, state), stack)
    return pack_now(
        now,
        [_step(each, claimed, running, state) for each in found[:MOST_UNDER_WAY]],
        more=max(0, len(found) - MOST_UNDER_WAY),
        blocked=blocked,
    )


def _step(
    attempt: UnderWay,
    claimed: ClaimedRun,
    running: asyncio.Task[Any] | None,
    state: WorkerState,
) -> Sequence[Any]:
    task = _task_of(attempt, claimed)
    stack, in_thread = list[str](), False
    if task is not None and task is running:
        stack = stack_of_loop(state.loop_thread)
    elif task is not None:
        stack, in_thread = stack_of_task(task, state.threads)
    return attempt.name, attempt.attempt, attempt.began_at, in_thread, stack


def _task_of(attempt: UnderWay, claimed: ClaimedRun) -> asyncio.Task[Any] | None:
    attempts = claimed.inbox_watch.attempts
    return claimed.task if attempts is None else attempts.task_of(attempt.place)


def _run_of(running: asyncio.Task[Any] | None, state: WorkerState) -> str:
    """Name the run whose code the loop is running; "" where that is no run's."""
    if running is None:
        return ""
    for run_id, claimed in list(state.runs.items()):
        tasks = {claimed.task, *(_task_of(each, claimed) for each in claimed.under_way())}
        if running in tasks:
            return run_id
    return ""

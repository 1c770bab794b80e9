"""A worker that is lost at the n-th write of a run, as far as that run can tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis

from stepflow.errors import ClaimLost
from stepflow.worker.worker import Worker

#: what an activation writes
WRITES = {"add_entry", "take_signal", "submit_child"}


@asynccontextmanager
async def dying_at(
    number: int, runner: str, worker: Worker, real: redis.Redis
) -> AsyncIterator[list[str]]:
    """
    Lose the claim of runs of *runner* at write *number*: carried out, its reply lost,
    the lease run out at once.

    Gives the list of what was lost, which a test looks at to know that it was.
    """
    worker_state, died, seen = worker.worker_state, [], 0
    assert worker_state is not None
    send = worker_state.connection.send

    def held() -> list[str]:
        """Name the runs of *runner* that the worker has; it may have others, their children."""
        return [
            claimed.run.id for claimed in worker_state.runs.values() if claimed.run.runner == runner
        ]

    def is_about(call: Any) -> bool:
        return any(f"stepflow:run:{run_id}" in call.keys for run_id in held())

    async def lose(future: asyncio.Future[Any], name: str) -> Any:
        lost = {f"run:{run_id}": 1.0 for run_id in held()}
        await future
        died.append(name)
        real.zadd("stepflow:claims", lost, xx=True)
        raise ClaimLost(name)

    def sending(call: Any) -> Any:
        nonlocal seen
        future = send(call)
        if call.name not in WRITES or not is_about(call):
            return future
        seen += 1
        return asyncio.ensure_future(lose(future, call.name)) if seen == number else future

    worker_state.connection.send = sending  # type: ignore[method-assign]
    try:
        yield died
    finally:
        worker_state.connection.send = send  # type: ignore[method-assign]

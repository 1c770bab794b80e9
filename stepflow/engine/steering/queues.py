"""
Pausing a queue: no worker takes anything from it until somebody resumes it.

What waits in it goes on waiting, and more may be submitted. Workers leave the runs of it that they
have after their present step.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from stepflow.core.ids import check_queue
from stepflow.core.outcomes import readable
from stepflow.engine.env import Env
from stepflow.errors import RedisRefused
from stepflow.store.calls import batch_of
from stepflow.store.query import members, queue_length, rq_worker_names
from stepflow.store.steering.queues import (
    PausedQueue,
    forget_queue_pause,
    load_paused_queues,
    save_queue_pause,
    tell_of_pause,
    wake_queue,
)
from stepflow.times import as_datetime

log = logging.getLogger("stepflow.run")


@dataclass(frozen=True, slots=True)
class QueuePause:
    """Who paused a queue, why, and when."""

    queue: str
    by: str
    reason: str
    at: datetime | None


async def pause_queue(queue: str, reason: str, by: str, env: Env) -> bool:
    """
    Have no worker take anything from a queue until it is resumed.

    False when it was paused already: then who did it first, and why, stays. Raises InvalidName.
    """
    name = env.keys.queue_name(check_queue(queue))
    paused = PausedQueue(name, readable(by), readable(reason), env.clock.now())
    if not await save_queue_pause(env.keys, paused):
        return False
    log.info("queue=%s is paused by %s: %s", queue, by, reason)
    try:
        workers = await rq_worker_names()
        await batch_of([tell_of_pause(env.keys, worker, name) for worker in workers])
    except RedisRefused as refusal:  # a user without channels: they learn of it within a second
        log.debug("queue=%s: its workers were not told (%s)", queue, refusal)
    return True


async def resume_queue(queue: str, env: Env) -> bool:
    """Have workers take from a queue again; False when it was not paused. Raises InvalidName."""
    was_paused = await forget_queue_pause(env.keys, env.keys.queue_name(check_queue(queue)))
    if was_paused:
        names = env.keys.rq_queues(queue, await members(env.keys.levels))
        lengths = await batch_of([queue_length(name) for name in names])
        if any(lengths):
            await wake_queue(env.keys, queue)
        log.info("queue=%s is resumed", queue)
    return was_paused


async def queue_pauses(env: Env) -> dict[str, QueuePause]:
    """Give the queues of this name space that are paused, by name."""
    found = {}
    for paused in await load_paused_queues(env.keys):
        queue = env.keys.split_queue(paused.name)[0]
        if env.keys.queue_name(queue) == paused.name:
            found[queue] = QueuePause(queue, paused.by, paused.reason, as_datetime(paused.at))
    return found

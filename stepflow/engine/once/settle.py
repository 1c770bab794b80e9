"""What a submit does while another run has its key: it is that run, or takes its place."""

from __future__ import annotations

import logging
from typing import Any

from stepflow.core.run import Run, RunState, StopKind, StopRequest
from stepflow.engine.cancel import stop_run
from stepflow.engine.env import Env
from stepflow.engine.once.options import Debounce, Singleton
from stepflow.errors import SingletonTaken
from stepflow.store.calls import Part
from stepflow.store.runs import DONE, load_run, put_off
from stepflow.store.runs.move import AGAIN

log = logging.getLogger("stepflow.run")


async def settle_taken(
    once: Singleton | Debounce | None, holder: str, run: Run, data: list[Part], env: Env
) -> str | None:
    """
    Give the run that the submit of *run* is; None to submit again, in the place of *holder*.

    Raises SingletonTaken.
    """
    if isinstance(once, Debounce):
        return await _put_off(once, holder, run, data, env)
    if once is None or once.when_taken == "same":
        return holder
    if once.when_taken == "refuse":
        raise SingletonTaken(once.key, holder)
    log.info("run=%s is cancelled: run=%s takes its place as %s", holder, run.id, once.name)
    stop = StopRequest(StopKind.CANCEL, f"run {run.id!r} takes its place", env.clock.now())
    await stop_run(holder, stop, env)
    return None


async def _put_off(once: Debounce, holder: str, run: Run, data: list[Any], env: Env) -> str | None:
    """Give the run that waits the payload of *run*; None when it does not wait any more."""
    waiting = await load_run(env.keys, holder)
    if waiting is None or waiting.state is not RunState.SCHEDULED or waiting.damage:
        return None
    now = env.clock.now()
    answer = await put_off(
        env.keys, waiting, once.name, request=env.request_id(), digest=run.digest, data=data,
        due_at=once.due_at(waiting.created_at, now), now=now,
    )  # fmt: skip
    return holder if answer[0] in {DONE, AGAIN} else None

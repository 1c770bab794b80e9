"""Hook deliveries as operators see them: list them, send one again."""

from __future__ import annotations

from stepflow.engine.env import Env
from stepflow.errors import HookNotFound
from stepflow.store.calls import batch_of
from stepflow.store.hooks import HookRecord, load_hook, requeue_hook
from stepflow.store.query import newest
from stepflow.store.runs import load_run

#: ends of a retried run whose deliveries are listed: the last ones
_ENDS = 1000


async def redeliver(hook_id: str, env: Env) -> None:
    """
    Queue a delivery once more, its tries anew; nothing to do for one in progress.

    Raises HookNotFound.
    """
    while True:
        record = await load_hook(env.keys, hook_id)
        if record is None:
            raise HookNotFound(hook_id)
        if record.token or (await requeue_hook(env.keys, record, now=env.clock.now(), fresh=True)):
            return


async def dead_hooks(env: Env, *, limit: int) -> list[HookRecord]:
    """Give the dead deliveries that are kept, the last to die first."""
    found = await newest(env.keys.dead_hooks, before=None, count=limit)
    if not found:
        return []
    records = await batch_of([load_hook(env.keys, hook_id) for hook_id, _ in found])
    return [record for record in records if record is not None]


async def hooks_of_run(run_id: str, env: Env, *, limit: int) -> list[HookRecord]:
    """Give the deliveries of one run's present generation that are kept, end by end."""
    run = await load_run(env.keys, run_id)
    if run is None:
        return []
    found: list[HookRecord] = []
    for end in range(max(1, run.ends - _ENDS), run.ends + 1):
        # all numbers at once, for they have gaps: delivered ones expire long before dead ones
        records = await batch_of(
            [
                load_hook(env.keys, f"{run.id}-{run.generation}-{end}-{number}")
                for number in range(limit)
            ]
        )
        found += [record for record in records if record is not None]
    return found

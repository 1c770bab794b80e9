"""All that a monitoring system is told: totals, and how things stand; read without a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepflow.core.counts import MOST_RUNNERS, read_counts
from stepflow.core.run import ENDS
from stepflow.engine.breakers.info import BreakerInfo
from stepflow.engine.breakers.verbs import breakers
from stepflow.engine.env import Env
from stepflow.engine.inspect import QueueInfo, WorkerInfo, own_workers, queues
from stepflow.engine.stats.one_moment import read_at_one_moment
from stepflow.engine.stats.tally import Tally
from stepflow.store.calls import batch, batch_of
from stepflow.store.evidence.of_run import info_if_allowed
from stepflow.store.indexes.lists import all_runs
from stepflow.store.query import earliest, index_size, members, server_time
from stepflow.store.runs.to_archive import count_ends, oldest_end

#: breakers that are told of
_MOST_BREAKERS = 100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How things stand at one moment, and what was counted up to then."""

    counts: Tally
    #: the queues of steps, and that of hooks; none that are not stepflow's
    queues: Sequence[QueueInfo]
    #: runs by state: pending, running, waiting (for a time, a message or somebody), and the ends
    runs: Mapping[str, int]
    #: the live workers
    workers: Sequence[WorkerInfo]
    dead_hooks: int
    #: by how many seconds what is due first is late, 0 when nothing is due
    due_lag_s: float
    #: the fields of INFO, none where the user may not read them
    server: Mapping[str, str]
    #: the first of the circuit breakers, by name
    breakers: Sequence[BreakerInfo] = ()
    #: ends of runs that wait to be archived, and for how long the oldest does
    to_archive: int = 0
    archive_lag_s: float = 0.0

    @property
    def slots(self) -> int:
        """How many steps the live workers run at once."""
        return sum(worker.concurrency or 0 for worker in self.workers)


async def snapshot(env: Env) -> Snapshot:
    """Read how things stand."""
    keys = env.keys
    now, due, dead, server = await batch(
        server_time(), earliest(keys.due), index_size(keys.dead_hooks), info_if_allowed()
    )
    to_archive, since = await batch(count_ends(keys), oldest_end(keys))
    found = [queue for queue in await queues(env) if not queue.is_foreign]
    return Snapshot(
        counts=await _counts(env),
        queues=found,
        runs=await _runs(env, found),
        workers=[worker for worker in await own_workers(env) if worker.is_live],
        dead_hooks=dead,
        due_lag_s=0.0 if due is None else max(0.0, now - due),
        server=server,
        to_archive=to_archive,
        archive_lag_s=max(0.0, now - since) if since else 0.0,
        breakers=await breakers(env, limit=_MOST_BREAKERS),
    )


async def _counts(env: Env) -> Tally:
    """
    Read the totals, and what no worker has taken into them yet.

    Of that, a runner is left out which may still turn out to be one of the others: a counter must
    not go down.
    """
    _, totals, new = await read_at_one_moment((), env)
    runners = await members(env.keys.counted_runners)
    tally, has_room = Tally([totals]), len(runners) < MOST_RUNNERS
    for count, number in read_counts(new):
        if has_room or count.of in runners:
            tally.count(count, number)
    return tally


async def _runs(env: Env, found: Sequence[QueueInfo]) -> dict[str, int]:
    """Count the runs by state: the sizes of indexes and queues."""
    live, *sizes = await batch_of([index_size(index) for index in all_runs(env.keys)])
    # the version before has its own index of each end, until that is moved
    ended = [sum(of_end) for of_end in zip(sizes[: len(ENDS)], sizes[len(ENDS) :], strict=True)]
    pending = sum(queue.length for queue in found if not queue.is_hooks)
    running = sum(queue.running for queue in found if not queue.is_hooks)
    return {
        "pending": pending,
        "running": running,
        "waiting": max(0, live - pending - running),
        **dict(zip(map(str, ENDS), ended, strict=True)),
    }

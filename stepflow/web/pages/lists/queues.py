"""The page of queues: what waits in them, for how long, and who works them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from stepflow.engine.inspect import QueueInfo, WorkerInfo
from stepflow.engine.lanes.look import LaneInfo
from stepflow.engine.steering.queues import QueuePause
from stepflow.web.pages.actions import ACTIONS, can
from stepflow.web.pages.visit import Page, Shown, Visit

#: lanes of a queue that are shown, of each priority
MOST_LANES = 20


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue, all its priorities together."""

    name: str
    #: how many runs wait, by priority
    waiting: dict[str, int]
    running: int
    oldest_s: float | None
    workers: int
    paused: QueuePause | None
    is_foreign: bool
    is_hooks: bool
    #: how many lanes have waiting runs, and the next of them
    lane_count: int = 0
    lanes: Sequence[LaneInfo] = ()

    @property
    def length(self) -> int:
        """How many runs wait in it."""
        return sum(self.waiting.values())

    @property
    def by_priority(self) -> str:
        """How many wait at each priority that has any, in words."""
        return ", ".join(f"{size:,} {name}" for name, size in self.waiting.items() if size) or "–"  # noqa: RUF001  an en dash, as in the other columns

    @property
    def is_unserved(self) -> bool:
        """Whether runs wait in it that nobody takes."""
        return self.length > 0 and not self.workers and not self.is_foreign


async def queue_rows(visit: Visit) -> tuple[list[QueueRow], Sequence[WorkerInfo]]:
    """Read the queues, and the workers that there are."""
    queues, workers = await asyncio.gather(visit.client.queues(), visit.client.workers())
    return list(_rows(queues, workers, visit)), workers


def _rows(
    queues: Sequence[QueueInfo], workers: Sequence[WorkerInfo], visit: Visit
) -> Iterator[QueueRow]:
    served = [set(worker.queues) for worker in workers if worker.is_live]
    for name, group in groupby(queues, key=lambda each: each.queue):
        infos = list(group)
        first = infos[0]
        rq_name = name if first.is_hooks else visit.client.env.keys.queue_name(name)
        yield QueueRow(
            name,
            waiting={info.priority: info.length for info in infos},
            running=sum(info.running for info in infos),
            oldest_s=max((info.oldest_s for info in infos if info.oldest_s), default=None),
            workers=sum(rq_name in of_worker for of_worker in served),
            paused=first.paused,
            is_foreign=all(info.is_foreign for info in infos),
            is_hooks=first.is_hooks,
            lane_count=sum(info.lanes for info in infos),
        )


async def queues(visit: Visit) -> Shown:
    """List the queues."""
    rows, _ = await queue_rows(visit)
    rows = [
        replace(row, lanes=await visit.client.lanes(row.name, most=MOST_LANES))
        if row.lane_count else row
        for row in rows
    ]  # fmt: skip
    values = {
        "rows": rows, "pause": ACTIONS["pause-queue"], "resume": ACTIONS["resume-queue"],
        "weigh": ACTIONS["set-weight"], "can_weigh": can(visit.grant, "set-weight"),
        "can_pause": can(visit.grant, "pause-queue"),
        "can_resume": can(visit.grant, "resume-queue"),
    }  # fmt: skip
    return Shown("lists/queues.html", values)


PAGES = (Page("/queues", queues, "Queues", "q"),)

"""The first page: is all well, and what needs attention."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from stepflow.core.run import RunState
from stepflow.web.pages.lists import needs
from stepflow.web.pages.lists.chart import HEIGHT, chart_of
from stepflow.web.pages.lists.failures import groups_of, newest_failed
from stepflow.web.pages.lists.needs import LOOKED_AT
from stepflow.web.pages.lists.queues import queue_rows
from stepflow.web.pages.lists.rows import rows_of
from stepflow.web.pages.visit import Page, Shown, Visit

T = TypeVar("T")

#: how many lines a kind gets
_LINES = 8
#: running runs that are shown
_RUNNING = 10
#: minutes of the chart
_MINUTES = 60


async def now(visit: Visit) -> Shown:
    """Show what needs attention, and what is running."""
    client = visit.client
    (queues, workers), (failed, _), questions, hooks, stats = await asyncio.gather(
        queue_rows(visit),
        newest_failed(visit, LOOKED_AT),
        client.questions(limit=LOOKED_AT),
        client.hooks(limit=LOOKED_AT),
        client.stats(minutes=_MINUTES),
    )
    runners, pending, running, paused = await asyncio.gather(
        client.runners(),
        client.list(state=RunState.PENDING, limit=LOOKED_AT, values=False),
        client.list(state=RunState.RUNNING, limit=LOOKED_AT, values=False),
        client.list(state=RunState.PAUSED, limit=LOOKED_AT, values=False),
    )
    rows, asking = await asyncio.gather(
        rows_of([*running.runs, *pending.runs], visit),
        client.statuses(list({question.run_id for question in questions})),
    )
    live = [worker for worker in workers if worker.is_live]
    values = {
        "needs": [
            *needs.of_workers(workers, visit),
            *_first(needs.of_queues(queues, visit)),
            *_first(needs.of_failures(groups_of(failed), stats.failing, visit)),
            *_first(needs.of_runners(runners, visit)),
            *_first(needs.of_stuck(rows, visit)),
            *_first(needs.of_paused(paused.runs, visit)),
            *_first(needs.of_questions(questions, {run.id: run.runner for run in asking}, visit)),
            *_first(needs.of_hooks(hooks, visit)),
        ],
        "shown_running": [row for row in rows if row.run.state == RunState.RUNNING][:_RUNNING],
        "live_count": len(live),
        "slots": sum(worker.concurrency or 0 for worker in live),
        "taken": sum(max(worker.running, 0) for worker in live),
        "waiting": sum(queue.length for queue in queues),
        "oldest_s": max((queue.oldest_s or 0 for queue in queues), default=0),
        "running": sum(queue.running for queue in queues),
        "chart": chart_of(stats.minutes), "chart_height": HEIGHT,
        "questions": len(questions), "most": LOOKED_AT,
    }  # fmt: skip
    return Shown("lists/now.html", values)


def _first(found: Iterable[T]) -> Iterable[T]:
    return islice(found, _LINES)


PAGES = (Page("/", now, "Now", "n"),)

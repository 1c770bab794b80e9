"""What the page of a run reads, all of it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from stepflow.client import HookInfo
from stepflow.core.output import OutputItem
from stepflow.engine.timeline import Trace
from stepflow.engine.timeline.beside import JournalPage, Mail
from stepflow.engine.why import Why
from stepflow.errors import RedisRefused, RunNotFound
from stepflow.web.pages.run.opened import Opened
from stepflow.web.pages.visit import Visit

T = TypeVar("T")

#: hooks, signals and items of output that the page shows
HOOKS, SIGNALS, ITEMS = 20, 50, 200


@dataclass(frozen=True, slots=True)
class Read:
    """A run as it was read."""

    trace: Trace
    why: Why | None
    hooks: Sequence[HookInfo]
    mailbox: Sequence[Mail]
    output: Sequence[OutputItem]
    journal: JournalPage
    #: the children that are open in the timeline, by id
    children: Mapping[str, Trace]


async def read(run_id: str, opened: Opened, visit: Visit) -> Read:
    """Read a run; raises RunNotFound. What a Redis user may not see is left out."""
    client = visit.client
    trace, why, hooks, mailbox, output, journal, *children = await asyncio.gather(
        client.trace(run_id),
        _allowed(client.why(run_id), None),
        _allowed(client.hooks(run_id, limit=HOOKS), ()),
        client.mailbox(run_id, limit=SIGNALS),
        client.newest_output(run_id, limit=ITEMS),
        client.journal(run_id, limit=0),
        *(_child(child, visit) for child in opened.children()),
    )
    known = {child.run.id: child for child in children if child is not None}
    return Read(trace, why, hooks, mailbox, output, journal, known)


async def _allowed(call: Awaitable[T], otherwise: T) -> T:
    with suppress(RedisRefused):
        return await call
    return otherwise


async def _child(run_id: str, visit: Visit) -> Trace | None:
    with suppress(RunNotFound):
        return await visit.client.trace(run_id)
    return None

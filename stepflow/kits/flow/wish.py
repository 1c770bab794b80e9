"""A wish: something a workflow asked for at a place and awaits: a step's value, the end of a sleep, a signal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.kits.flow.journal import Kind

#: what kinds of entries may stand at the place of what kind of wish
FITTING = {
    "step": (Kind.VALUE, Kind.ERROR, Kind.TRY),
    "sleep": (Kind.DUE, Kind.OVER),
    "signal": (Kind.DUE, Kind.SIGNAL, Kind.NONE),
}


@dataclass(slots=True, eq=False)
class Wish:
    """
    What was asked for, and how far it is.

    *due_at* is unix seconds: the end of a sleep, of a wait for a signal, of the
    wait before the next attempt; None when there is none. *future* belongs to the workflow's loop.
    """

    what: str
    place: str
    name: str
    future: asyncio.Future[Any]
    function: Callable[..., Any] | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float | None = None
    names: Sequence[str] = ()
    read: Callable[[Any], Any] | None = None
    due_at: float | None = None
    wait_s: float | None = None
    failures: int = 0
    #: a try is running, or an entry is being written for it
    is_busy: bool = False
    #: the round of news that this wish for a signal has looked into the mailbox for
    seen: int = 0
    task: asyncio.Future[Any] | None = None

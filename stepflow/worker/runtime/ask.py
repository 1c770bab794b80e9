"""
Asking Redis for something that has to be given back, should nobody wait for the answer.

And telling it something that nobody waits for, and that is not to be lost: what a step gives back
while its run goes on would else be missing until the claim ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from stepflow.engine.insist import insist
from stepflow.errors import RedisRefused
from stepflow.store.calls import Call
from stepflow.store.connection.async_ import AsyncCaller

T = TypeVar("T")


async def ask(
    connection: AsyncCaller, call: Call[T], what: str, give_back: Callable[[T], None]
) -> T:
    """
    Carry out *call*, however long Redis refuses to write; *what* says in a log line what waits.

    If the task is cancelled meanwhile, *give_back* gets the answer that comes after that.
    """
    try:
        return await _shielded(connection.send(call), give_back)
    except RedisRefused:
        asked = asyncio.ensure_future(insist(lambda: connection.call(call), what))
        return await _shielded(asked, give_back)


async def _shielded(asked: asyncio.Future[T], give_back: Callable[[T], None]) -> T:
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        asked.add_done_callback(partial(_late, give_back))
        raise


def _late(give_back: Callable[[T], None], asked: asyncio.Future[T]) -> None:
    if not asked.cancelled() and asked.exception() is None:
        give_back(asked.result())


def tell(
    connection: AsyncCaller, call: Call[T], what: str, then: Callable[[asyncio.Future[T]], object]
) -> None:
    """
    Send *call* at once, and again for as long as Redis refuses to write; *what* is as for `ask`.

    Its script must know a second arrival, and refuse one that comes too late. *then* gets what
    came of it.
    """
    connection.send(call).add_done_callback(partial(_told, connection, call, what, then))


def _told(
    connection: AsyncCaller,
    call: Call[T],
    what: str,
    then: Callable[[asyncio.Future[T]], object],
    sent: asyncio.Future[T],
) -> None:
    problem = None if sent.cancelled() else sent.exception()
    if isinstance(problem, RedisRefused) and problem.passes:
        sent = asyncio.ensure_future(insist(lambda: connection.call(call), what))
        sent.add_done_callback(then)
    else:
        then(sent)

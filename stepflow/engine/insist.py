"""
Writes that a worker must not lose.

While Redis refuses to write (full, without a disk or its replicas), they are kept.

A worker says so once for each write, then every half a minute, and tries again until Redis takes
it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stepflow.errors import RedisRefused, UnavailableError

T = TypeVar("T")

log = logging.getLogger("stepflow.run")

#: seconds between two tries of a write that is refused
REFUSED_S = 1.0
#: tries between two lines in the log about the same write
_SAID_EVERY = 30


async def insist(
    write: Callable[[], Awaitable[T]], what: str, *, whatever_refused: bool = False
) -> T:
    """
    Have *write* carried out, which must be safe to repeat.

    While Redis refuses, it is called again and again. *what* says in a log line what waits.

    Raises RedisRefused for a refusal that does not pass, unless *whatever_refused*: then somebody
    has to repair what the write is refused for.
    """
    tries = 0
    while True:
        try:
            return await write()
        except RedisRefused as refusal:
            if not (refusal.passes or whatever_refused):
                raise
            say_refused(what, refusal, tries)
        tries += 1
        await asyncio.sleep(REFUSED_S)


def say_refused(what: str, refusal: UnavailableError, tries: int) -> None:
    """Say that a write waits, the first time and every half a minute."""
    if tries % _SAID_EVERY == 0:
        log.error("%s: %s; it is kept and tried again every %g s", what, refusal, REFUSED_S)

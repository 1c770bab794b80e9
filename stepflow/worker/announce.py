"""
announce: a worker writes which terminal hooks its app has.

Runs that ended before any worker had written that are told to the hooks now.
"""

from __future__ import annotations

import logging

from stepflow.engine.env import Env
from stepflow.engine.outbox import app_hooks, untold_hooks
from stepflow.engine.registry import Registry
from stepflow.errors import DataError
from stepflow.store.calls import Call, batch_of
from stepflow.store.connection.server_check import write_format
from stepflow.store.hooks import MOST_UNTOLD, load_untold, save_app_hooks, tell_untold
from stepflow.store.values.codec import pack

log = logging.getLogger("stepflow.hook")

#: noted ends handled in one round trip
PAGE = 100


async def announce(registry: Registry, env: Env) -> None:
    """
    Write the data format, the hooks of the app, and the deliveries of noted ends, in this order.

    Whoever ends a run without its worker reads the hooks, or notes the end while there are none: no
    end is noted after they are written. Safe to repeat, also by many workers at once, of which one
    takes each note.
    """
    await write_format(env.keys)
    names = registry.names
    if not names:
        return
    packed = [
        part for name in names for part in (name, pack(app_hooks(registry, name), in_clear=True))
    ]
    saved = await save_app_hooks(env.keys, packed)
    if saved is None:
        log.error(
            "the hooks of this app could not be announced: the key %s is something else; delete it",
            env.keys.app_hooks,
        )
        return
    left = set[bytes]()
    for _ in range(MOST_UNTOLD // PAGE + 1):
        count = PAGE + len(left)
        noted = await batch_of([load_untold(env.keys, name, count) for name in names])
        new = [
            (note, name)
            for name, notes in zip(names, noted, strict=True)
            for note in notes
            if note not in left
        ]
        told = [call for each in new if (call := _told(*each, registry, env, left)) is not None]
        if told:
            log.info(
                "%s runs had ended before a worker announced the hooks of their app; "
                "the hooks are called now",
                sum(await batch_of(told)),
            )
        if not new:
            return


def _told(
    note: bytes, runner: str, registry: Registry, env: Env, left: set[bytes]
) -> Call[int] | None:
    """Give the call that tells of a noted end; None, and it is *left*, where it is unreadable."""
    now = env.clock.now()
    try:
        hooks = untold_hooks(note, runner, app_hooks(registry, runner), env, now)
    except (DataError, TypeError, ValueError) as error:
        left.add(note)
        log.error(
            "an end of runner %r that its hooks were not told of cannot be read: %s; it is left "
            "to a worker that can, until the result of its run expires",
            runner, error,
        )  # fmt: skip
        return None
    return tell_untold(env.keys, runner, note, hooks, now=now)

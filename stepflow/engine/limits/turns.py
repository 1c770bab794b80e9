"""Whose turn it is: lines are looked at when their time has come, and some once a second."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stepflow.core.limits.use import label_of, run_of_place, split_limited
from stepflow.engine.env import Env
from stepflow.store.calls import batch_of
from stepflow.store.limits.lines import call_line, mend_slots, scan_keys, some_of

log = logging.getLogger("stepflow.run")

#: lines that one round looks at, and sets of slots: all rounds of all workers see each soon
LINES, SLOT_SETS = 20, 5
#: keys of one limit that are looked at when the limit has changed
MOST_KEYS = 10_000


async def call_due(limited: Sequence[str], env: Env) -> float | None:
    """Look at lines whose timer has rung, `<limit>|<key>`; gives when the next thing is due."""
    return await _call([split_limited(each) for each in limited], env)


async def call_lines(name: str, env: Env) -> None:
    """Look at all lines of a limit, which has changed."""
    await _call(await keys_of(env.keys.lines, name), env)


async def keys_of(index: str, name: str) -> list[tuple[str, str]]:
    """Find what an *index* of lines or slots holds of one limit, or of all for an empty *name*."""
    found, cursor = set[tuple[str, str]](), 0
    while True:
        cursor, some = await scan_keys(index, name, cursor)
        found.update(some)
        if not cursor or len(found) >= MOST_KEYS:
            return sorted(found)


async def look_round(env: Env) -> tuple[float | None, list[tuple[str, str]]]:
    """
    Look at some lines and slots by chance: what no script has handed on goes on within a second.

    Gives when the next thing is due, and the lines, as limit and key.
    """
    keys = env.keys
    lines, sets = await batch_of([some_of(keys.lines, LINES), some_of(keys.slots, SLOT_SETS)])
    due_at = await _call(lines, env)
    given, now = env.clock.given, env.clock.now()
    freed = await batch_of([mend_slots(keys, *each, given=given, now=now) for each in sets])
    for (name, key), run_ids in zip(sets, freed, strict=True):
        for each in run_ids:
            log.warning(
                "run=%s had a slot of limit %s, and no worker has the run; taken back",
                run_of_place(each), label_of(name, key),
            )  # fmt: skip
    return due_at, lines


async def _call(lines: Sequence[tuple[str, str]], env: Env) -> float | None:
    given, now = env.clock.given, env.clock.now()
    looks = await batch_of([call_line(env.keys, *each, given=given, now=now) for each in lines])
    for look in looks:
        env.clock.learn(look.now)
    return looks[-1].next_due if looks else None

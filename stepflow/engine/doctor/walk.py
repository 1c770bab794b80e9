"""Goes through every key of the server, for runs that no list names and wrong times to live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.core.run import ENDS
from stepflow.engine.env import Env
from stepflow.store.calls import batch_of
from stepflow.store.evidence.of_run import score_of
from stepflow.store.evidence.whole import rev_and_end
from stepflow.store.query import scan_keys, time_to_live

#: keys in one round trip
_KEYS = 2_000
#: what TTL says of a key that lives for ever
_FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class WrongTtl:
    """
    Keys of a run whose time to live does not go with its record.

    *ended* is when it ended, as the record has it: a live run's keys live for ever, an ended run's
    do not.
    """

    run_id: str
    ended: str
    keys: tuple[str, ...]


@dataclass(slots=True)
class Walk:
    """What was found on the way through all keys."""

    unlisted: list[str] = field(default_factory=list)
    wrong: list[WrongTtl] = field(default_factory=list)


async def walk(env: Env) -> Walk:
    """Go through all keys of the server; needs the rights to SCAN and TTL."""
    found, cursor = Walk(), "0"
    while True:
        cursor, keys = await scan_keys(cursor, _KEYS)
        runs = _by_run(keys, env)
        found.wrong += await wrong_ttls(runs, env)
        found.unlisted += await _unlisted([one for one in runs if env.keys.run(one) in keys], env)
        if cursor == "0":
            return found


def _by_run(keys: Sequence[str], env: Env) -> dict[str, list[str]]:
    start, found = env.keys.run(""), dict[str, list[str]]()
    for key in keys:
        if key.startswith(start):
            run_id = key.removeprefix(start).partition(":")[0]
            found.setdefault(run_id, []).append(key)
    return found


async def wrong_ttls(runs: Mapping[str, Sequence[str]], env: Env) -> list[WrongTtl]:
    """Give those runs of which some of these keys have a wrong time to live."""
    rows = await batch_of([rev_and_end(env.keys, run_id) for run_id in runs])
    lives = iter(await batch_of([time_to_live(key) for keys in runs.values() for key in keys]))
    found = []
    for (run_id, keys), (rev, end) in zip(runs.items(), rows, strict=True):
        ended, times = (end or b"").decode("utf-8", "replace"), [next(lives) for _ in keys]
        if rev is None:  # its record is gone, or cannot be read
            continue
        wrong = tuple(
            key
            for key, ttl in zip(keys, times, strict=True)
            if (ttl == _FOR_EVER if ended else ttl >= 0)
        )
        if wrong:
            found.append(WrongTtl(run_id, ended, wrong))
    return found


async def _unlisted(run_ids: Sequence[str], env: Env) -> list[str]:
    """Give those that no list of live or ended runs names."""
    indexes = [env.keys.live, *(env.keys.done_index(end) for end in ENDS)]
    scores: list[Any] = await batch_of(
        [score_of(index, one) for one in run_ids for index in indexes]
    )
    width = len(indexes)
    return [
        run_id
        for number, run_id in enumerate(run_ids)
        if all(score is None for score in scores[number * width :][:width])
    ]

"""Goes through every key of the server, for runs that no list names and wrong times to live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.core.ids import member_of_rq_id
from stepflow.engine.doctor.search import Stray, gone
from stepflow.engine.env import Env
from stepflow.store.calls import batch_of
from stepflow.store.evidence.of_run import score_of
from stepflow.store.evidence.whole import rev_and_end, scan_index
from stepflow.store.indexes.lists import all_runs, is_of_runs
from stepflow.store.indexes.old import old_expiry
from stepflow.store.query import members_until, scan_keys, time_to_live

#: keys in one round trip
_KEYS = 2_000
#: where the run stands in what names it as expiring: <state>|<runner>|<id>
_RUN_ID = 2
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
    strays: list[Stray] = field(default_factory=list)


async def walk(env: Env) -> Walk:
    """Go through all keys of the server; needs the rights to SCAN and TTL."""
    found, cursor = Walk(), "0"
    while True:
        cursor, keys = await scan_keys(cursor, _KEYS)
        runs = _by_run(keys, env)
        found.wrong += await wrong_ttls(runs, env)
        found.strays += await gone(await _of_rq(keys, env))
        found.strays += await _of_indexes(keys, env)
        found.unlisted += await _unlisted([one for one in runs if env.keys.run(one) in keys], env)
        if cursor == "0":
            return found


async def _of_rq(keys: Sequence[str], env: Env) -> list[Stray]:
    """Give RQ's jobs and entries of its registries that are ours, each with its record."""
    job = env.keys.rq_job("")
    found = [
        Stray(key, "", env.keys.record(member))
        for key in keys
        if key.startswith(job) and (member := _member(key.removeprefix(job), env))
    ]
    starts = (env.keys.rq_wip(""), env.keys.rq_scheduled(""))
    for registry in (key for key in keys if key.startswith(starts)):
        cursor = "0"
        while True:
            cursor, entries = await scan_index(registry, cursor, _KEYS)
            found += [
                Stray(registry, entry, env.keys.record(member))
                for entry in entries
                if (member := _member(entry.partition(":")[0], env))
            ]
            if cursor == "0":
                break
    return found


async def _of_indexes(keys: Sequence[str], env: Env) -> list[Stray]:
    """Give the members of indexes whose records are gone, but those that a worker forgets soon."""
    found: list[Stray] = []
    for index in (key for key in keys if is_of_runs(key, env.keys) and key != env.keys.live):
        cursor = "0"
        while True:
            cursor, members = await scan_index(index, cursor, _KEYS)
            found += await gone([Stray(index, one, env.keys.run(one)) for one in members])
            if cursor == "0":
                break
    expired = await _expired(env) if found else frozenset[str]()
    return [one for one in found if one.member not in expired]


async def _expired(env: Env) -> frozenset[str]:
    """Name the runs whose records have expired, and whose place in the lists has not yet."""
    sets, now = (env.keys.expiry, old_expiry(env.keys)), env.clock.now()
    found = await batch_of([members_until(expiry, now) for expiry in sets])
    parts = (member.split("|") for members in found for member in members)
    return frozenset(part[_RUN_ID] for part in parts if len(part) > _RUN_ID)


def _member(rq_id: str, env: Env) -> str:
    """Name the run or hook that an RQ id delivers; "" for one that is not ours."""
    prefix = env.keys.job_prefix
    return member_of_rq_id(rq_id.removeprefix(prefix)) if rq_id.startswith(prefix) else ""


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
    indexes = all_runs(env.keys)
    scores: list[Any] = await batch_of(
        [score_of(index, one) for one in run_ids for index in indexes]
    )
    width = len(indexes)
    return [
        run_id
        for number, run_id in enumerate(run_ids)
        if all(score is None for score in scores[number * width :][:width])
    ]

"""Goes through all live runs, hooks in progress and indexes for what may be broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stepflow.core.ids import (
    group_of_member,
    hook_member,
    limited_of_member,
    run_member,
    schedule_of_member,
    split_member,
)
from stepflow.engine.env import Env
from stepflow.engine.why.explain import explain
from stepflow.engine.why.model import Why, WhyWord
from stepflow.engine.why.read import read_facts
from stepflow.store.calls import batch_of
from stepflow.store.evidence.of_run import exists, position_of, score_of
from stepflow.store.evidence.whole import inspect_runs, list_page, scan_index
from stepflow.store.hooks import DEAD, DELIVERED, HookRecord, load_hook
from stepflow.store.keys import Keys

#: runs in one script, which takes half a millisecond, and such scripts in one round trip
PAGE, PAGES = 100, 20
#: runs that are looked at more closely in one go
CLOSELY = 200
#: members or keys in one round trip; a scan of so many takes the server half a millisecond
MEMBERS = 500


@dataclass(frozen=True, slots=True)
class Stray:
    """A member of an index whose record is gone."""

    index: str
    member: str
    record: str


async def live_runs(env: Env) -> list[str]:
    """Name all runs that are listed as live."""
    found: set[str] = set()
    cursor = "0"
    while True:
        cursor, members = await scan_index(env.keys.live, cursor, MEMBERS)
        found.update(members)
        if cursor == "0":
            return sorted(found)


async def suspects(run_ids: Sequence[str], env: Env) -> list[str]:
    """Give those runs that deserve a closer look."""
    found: list[str] = []
    step = PAGE * PAGES
    for start in range(0, len(run_ids), step):
        part = run_ids[start : start + step]
        calls = [inspect_runs(env.keys, part[at : at + PAGE]) for at in range(0, len(part), PAGE)]
        for answer in await batch_of(calls):
            found += answer
    return found


async def broken_runs(run_ids: Sequence[str], env: Env) -> list[Why]:
    """Look closely at runs; gives those that look broken."""
    found: list[Why] = []
    for start in range(0, len(run_ids), CLOSELY):
        facts = await read_facts(run_ids[start : start + CLOSELY], env, levels=0)
        whys = [explain(one) for one in facts]
        found += [why for why in whys if why.word is WhyWord.BROKEN]
    return found


async def live_hooks(env: Env) -> list[str]:
    """Name the hooks that are listed as in progress."""
    found: set[str] = set()
    cursor = "0"
    while True:
        cursor, members = await scan_index(env.keys.live_hooks, cursor, MEMBERS)
        found.update(members)
        if cursor == "0":
            return sorted(found)


async def lost_hooks(hook_ids: Sequence[str], env: Env) -> list[HookRecord]:
    """Give those hooks that are to be delivered and that nobody will come to."""
    found: list[HookRecord] = []
    #: by runner, the deliveries that wait for a worker that makes them
    waiting: dict[str, set[str]] = {}
    queue, keys = env.keys.hook_queue, env.keys
    for start in range(0, len(hook_ids), PAGE):
        part = hook_ids[start : start + PAGE]
        hooks = await batch_of([load_hook(keys, one) for one in part])
        there = [
            hook
            for hook in hooks
            if hook is not None and hook.state not in {DEAD, DELIVERED} and not hook.damage
        ]
        indexes = [keys.claims, keys.due, keys.queued_at(queue)]
        scores = await batch_of(
            [score_of(index, hook_member(hook.id)) for hook in there for index in indexes]
        )
        width = len(indexes)
        lost = [
            hook
            for number, hook in enumerate(there)
            if not any(score is not None for score in scores[number * width :][:width])
        ]
        for runner in {hook.runner for hook in lost} - set(waiting):
            waiting[runner] = await _waiting(runner, env)
        lost = [hook for hook in lost if hook.delivery not in waiting[hook.runner]]
        places = await batch_of(
            [position_of(Keys.rq_list(queue), hook.delivery, most=0) for hook in lost]
        )
        found += [hook for hook, place in zip(lost, places, strict=True) if place is None]
    return found


async def _waiting(runner: str, env: Env) -> set[str]:
    """Name the deliveries in the waiting list of a runner: of the archive's there may be many."""
    found: set[str] = set()
    first, name = 0, env.keys.waiting_list(env.keys.hook_queue, runner)
    while page := await list_page(name, first, MEMBERS):
        found.update(page)
        first += len(page)
    return found


async def strays(env: Env) -> tuple[list[Stray], int]:
    """Give the members of indexes whose records are gone, and how many members there are."""
    keys, found, count = env.keys, list[Stray](), 0
    for index in (
        keys.claims,
        keys.due,
        keys.deadlines,
        keys.questions,
        keys.live,
        keys.live_hooks,
    ):
        cursor = "0"
        while True:
            cursor, members = await scan_index(index, cursor, MEMBERS)
            count += len(members)
            found += await gone([Stray(index, one, _record(index, one, keys)) for one in members])
            if cursor == "0":
                break
    return list(dict.fromkeys(found)), count


async def gone(candidates: Sequence[Stray]) -> list[Stray]:
    """Give those whose records are not there."""
    there = await batch_of([exists(one.record) for one in candidates])
    return [one for one, is_there in zip(candidates, there, strict=True) if not is_there]


def _record(index: str, member: str, keys: Keys) -> str:
    """Name the record of a member: the claims and the due set hold several kinds, others one."""
    if limited := limited_of_member(member):  # the timer of a line, which goes with it
        return keys.of_limit("line", *limited.split("|", 1))
    if schedule_of_member(member) or group_of_member(member):
        return keys.record(member)
    if index in {keys.claims, keys.due}:
        return keys.record(member) if split_member(member)[0] else keys.record(run_member(member))
    return keys.hook(member) if index == keys.live_hooks else keys.run(member)

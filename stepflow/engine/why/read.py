"""
Reads the facts by which runs are explained, those of many runs in the same round trips.

The first reads the record, the second what that leads to; a child that a run waits for costs one
more, for its second goes with the first of its own child.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepflow.core.children import MAX_DEPTH
from stepflow.core.ids import build_key, check_texts, hook_member, run_member
from stepflow.core.run import ENDS, Run, RunState
from stepflow.engine.env import Env
from stepflow.engine.kept import KeptData
from stepflow.engine.why.around.breakers import read_breakers
from stepflow.engine.why.around.budgets import read_budgets
from stepflow.engine.why.around.limits import read_limits, read_places
from stepflow.engine.why.facts import Facts
from stepflow.engine.why.gather import facts_of
from stepflow.engine.why.look import Answers, Calls, Look
from stepflow.engine.why.read_world import WorldReader
from stepflow.store.calls import batch_of
from stepflow.store.children import scan_children
from stepflow.store.evidence.of_run import (
    child_count,
    due_of,
    ends_of,
    exists,
    glance,
    lease_of,
    mail_of,
    maps_of,
    position_of,
    rank_of,
    replies_of,
    score_of,
    started_at,
)
from stepflow.store.hooks import DEAD, DELIVERED, HookRecord, load_hook
from stepflow.store.indexes.old import old_ended_index, old_expiry
from stepflow.store.indexes.places import expiry_member
from stepflow.store.journal import load_expected
from stepflow.store.keys import Keys
from stepflow.store.limits.evidence import line_of
from stepflow.store.query import index_size, list_length, members
from stepflow.store.questions import load_questions
from stepflow.store.runs import load_data, load_run

#: hooks of an ended run that are looked at
_HOOKS = 6
#: children of a run that are listed to find the oldest of a map
_LISTED = 500


async def named(groups: Sequence[Calls]) -> list[Answers]:
    """Await groups of calls in one round trip; gives the answers under the calls' names."""
    answers = iter(await batch_of([call for group in groups for call in group.values()]))
    return [{name: next(answers) for name in group} for group in groups]


async def read_facts(run_ids: Sequence[str], env: Env, *, levels: int = MAX_DEPTH) -> list[Facts]:
    """Read all that is known of runs; *levels* of children are followed."""
    wanted = check_texts("what why is asked of", run_ids)
    world, looks = WorldReader(env), [Look(run_id, levels) for run_id in wanted]
    beginning, going_on = list(looks), list[Look]()
    while beginning or going_on or not world.is_read:
        groups = [
            world.calls(), *(_first(look, env.keys) for look in beginning),
            *(_second(look, env.keys, world.waiting_lists) for look in going_on),
        ]  # fmt: skip
        said, *answers = await named(groups)
        world.take(said)
        for look, answer in zip(beginning, answers, strict=False):
            look.take_first(answer)
        for look, answer in zip(going_on, answers[len(beginning) :], strict=True):
            look.second = answer
        world.note(look.run for look in beginning)
        follows = [look.child for look in beginning if (look.child is not None)]
        late = [_child_of_map(look) for look in going_on]
        going_on, beginning = beginning, [*follows, *(look for look in late if look is not None)]
    every = list(_with_children(looks))
    missing = [_third(look, env.keys) for look in every]
    if any(missing):
        for look, answer in zip(every, await named(missing), strict=True):
            look.third = answer
    return [facts_of(look, world.world(), env.keys) for look in looks]


def _with_children(looks: Sequence[Look]) -> list[Look]:
    found = list[Look]()
    for look in looks:
        at: Look | None = look
        while at is not None:
            found.append(at)
            at = at.child
    return found


def _first(look: Look, keys: Keys) -> Calls:
    """Read the record, and where it stands in the indexes."""
    run_id = look.run_id
    return {
        "run": load_run(keys, run_id), "glance": glance(keys, run_id),
        "data": load_data(keys, run_id), "lease": lease_of(keys, run_id),
        "due": due_of(keys, run_id), "deadline": score_of(keys.deadlines, run_id),
        "live": score_of(keys.live, run_id),
    }  # fmt: skip


def _child_of_map(look: Look) -> Look | None:
    """Take up the oldest child of the map that a run waits for, or one of those that it stops."""
    stems = [command.awaited_id for command in look.commands if command.kind == "map"]
    if look.child is not None or "listed" not in look.second or not look.levels:
        return None
    if not stems:
        listed_ids = sorted(look.second["listed"][1])
        look.child = Look(listed_ids[0], look.levels - 1) if listed_ids else None
        return look.child
    listed = [child.rpartition("-") for child in look.second["listed"][1]]
    numbers = [int(number) for stem, _, number in listed if stem == stems[0] and number.isdigit()]
    if numbers:
        look.child = Look(f"{stems[0]}-{min(numbers)}", look.levels - 1)
    return look.child


def _second(look: Look, keys: Keys, lists: Sequence[str]) -> Calls:
    """Read what the record leads to."""
    run, run_id = look.run, look.run_id
    if run is None:
        return {
            f"{end} {index}": score_of(index, run_id)
            for end in ENDS
            for index in (keys.ended_index(end), old_ended_index(keys, end))
        }
    calls: Calls = {"glance": glance(keys, run_id)}
    if run.is_finished:
        return {**calls, **_of_ended(run, look.first["data"], keys)}
    if run.is_claimed:
        calls["started"] = started_at(run.claimed_rq_id)
    elif run.state is RunState.PENDING:
        calls |= _of_pending(run, keys, lists if b"tried" in look.first["data"] else ())
    elif look.is_parked_in_map and look.options.parent is not None:
        parent = look.options.parent
        calls["parent"] = load_run(keys, parent.run_id)
        calls["maps"] = maps_of(keys, parent.run_id, parent.generation)
        stem = run_id.rpartition("-")[0]
        calls["settled"] = ends_of(keys, parent.run_id, parent.generation, [stem])
    elif run.state is RunState.WAITING:
        calls |= _of_waiting(look, run, keys) | read_limits(look, run, keys)
    if run.state in {RunState.WAITING, RunState.SCHEDULED}:
        calls |= read_breakers(look, run, keys)
        calls |= read_budgets(look, run, keys)
    if run.has_children:
        calls["children"] = child_count(keys, run_id, run.generation)
    return calls


def _of_ended(run: Run, data: Mapping[bytes, bytes], keys: Keys) -> Calls:
    stem = f"{run.id}-{run.generation}-{run.ends}"
    hooks = [f"{stem}-{number}" for number in range(_HOOKS)] + [f"{stem}-children"]
    tags = KeptData(data, run).text(b"tags") or ""
    calls: Calls = {
        "expires": score_of(keys.expiry, expiry_member(run, tags)),
        "old expires": score_of(old_expiry(keys), expiry_member(run)),
    }
    for hook_id in hooks:
        calls[f"hook {hook_id}"] = load_hook(keys, hook_id)
        member = hook_member(hook_id)
        for index in (keys.claims, keys.due, keys.queued_at(keys.hook_queue)):
            calls[f"{index} {hook_id}"] = score_of(index, member)
    calls["children"] = child_count(keys, run.id, run.generation)
    return calls


def _of_pending(run: Run, keys: Keys, lists: Sequence[str]) -> Calls:
    queue = keys.queue_of(run)
    waiting = keys.waiting_list(queue, run.runner_key)
    start = f"{queue}|{build_key(run.runner_key, '')}"
    builds = [entry for entry in lists if entry.startswith(start)]
    calls: Calls = {
        f"build {entry}": position_of(
            keys.waiting_list(queue, entry.removeprefix(f"{queue}|")), run.delivery
        )
        for entry in builds
    }
    if run.held:
        calls |= line_of(keys, run)
    if run.lane:
        calls |= _of_lane(run, queue, keys)
    return calls | {
        "queued": score_of(keys.queued_at(queue), run_member(run.id)),
        "position": position_of(keys.rq_list(queue), run.delivery),
        "waiting": position_of(waiting, run.delivery),
        "waiting_length": list_length(waiting),
    }


def _of_lane(run: Run, queue: str, keys: Keys) -> Calls:
    lane = keys.lane(queue, run.lane)
    return {
        "lane at": score_of(lane, run_member(run.id)), "lane": rank_of(lane, run_member(run.id)),
        "lane length": index_size(lane), "lanes": index_size(keys.lanes(queue)),
        "turn": score_of(keys.lanes(queue), run.lane), "laned": members(keys.laned),
    }  # fmt: skip


def _of_waiting(look: Look, run: Run, keys: Keys) -> Calls:
    calls: Calls = {}
    kinds = {command.kind for command in look.commands}
    if "signal" in kinds:
        calls["mail"] = mail_of(keys, run.id)
        calls["expected"] = load_expected(keys, run.id)
    if "question" in kinds:
        calls["questions"] = load_questions(keys, run.id)
        digests = [command.awaited_id for command in look.commands if command.kind == "question"]
        calls["replies"] = replies_of(keys, run.id, digests)
    ids = [command.awaited_id for command in look.commands if command.kind in {"child", "map"}]
    if ids:
        calls["ends"] = ends_of(keys, run.id, run.generation, ids)
        calls["maps"] = maps_of(keys, run.id, run.generation)
    for command in look.commands:
        if command.kind == "child":
            calls[f"is {command.awaited_id}"] = exists(keys.run(command.awaited_id))
    if kinds & {"map", "children"}:
        calls["listed"] = scan_children(keys, run.id, run.generation, "0", _LISTED)
    return calls


def _third(look: Look, keys: Keys) -> Calls:
    """Read once more, and more closely, what looks as if it stood nowhere."""
    run, second = look.run, look.second
    calls: Calls = {}
    if run is None:
        return calls
    calls |= read_places(look, run, keys)
    if _is_nowhere(look):
        calls["position"] = position_of(keys.rq_list(keys.queue_of(run)), run.delivery, most=0)
    parent = second.get("parent")
    if parent is not None and parent.is_finished:
        calls["stop"] = load_hook(keys, f"{parent.id}-{parent.generation}-{parent.ends}-children")
    for name, hook in second.items():
        if name.startswith("hook ") and hook is not None and not _stands(hook, second, keys):
            queue = keys.hook_queue
            calls[name] = position_of(keys.rq_list(queue), hook.delivery, most=0)
            waiting = keys.waiting_list(queue, hook.runner)
            calls[f"waiting {hook.id}"] = position_of(waiting, hook.delivery, most=0)
    return calls


def _is_nowhere(look: Look) -> bool:
    second = look.second
    return (
        "position" in second
        and second["position"] is None
        and second["queued"] is None
        and second["waiting"] is None
        and look.build_position is None
        and second.get("line") is None
    )


def _stands(hook: HookRecord, second: Answers, keys: Keys) -> bool:
    """Whether a hook has ended, or stands where its next move comes from."""
    if hook.state in {DEAD, DELIVERED} or hook.damage:
        return True
    indexes = (
        [keys.claims] if hook.token else [keys.due, keys.queued_at(keys.hook_queue)]
    )  # fmt: skip
    return any(second[f"{index} {hook.id}"] is not None for index in indexes)

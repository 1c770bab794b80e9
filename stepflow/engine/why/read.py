"""
Reads the facts by which runs are explained, those of many runs in the same round trips.

The first reads the record, the second what that leads to; a child that a run waits for costs one
more, for its second goes with the first of its own child.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.core.children import MAX_DEPTH
from stepflow.core.ids import build_key, hook_member, run_member
from stepflow.core.open_command import OpenCommand
from stepflow.core.run import ENDS, Parked, Run, RunState
from stepflow.engine.env import Env
from stepflow.engine.kept import KeptData, read_tried
from stepflow.engine.spec import NO_OPTIONS, StoredOptions, read_options
from stepflow.engine.why.facts import Awaited, Facts, Indexes, MapCounts, Place, Turn, World
from stepflow.engine.why.read_world import WorldReader
from stepflow.engine.why.schema_words import type_in_words
from stepflow.errors import StepflowError
from stepflow.store.calls import Call, batch_of
from stepflow.store.children import scan_children
from stepflow.store.evidence.of_run import (
    NEAR,
    child_count,
    due_of,
    ends_of,
    exists,
    glance,
    lease_of,
    mail_of,
    maps_of,
    position_of,
    replies_of,
    score_of,
    started_at,
)
from stepflow.store.hooks import DEAD, DELIVERED, HookRecord, load_hook
from stepflow.store.indexes.old import old_ended_index, old_expiry
from stepflow.store.indexes.places import expiry_member
from stepflow.store.keys import Keys
from stepflow.store.query import list_length
from stepflow.store.questions import load_questions
from stepflow.store.run_hash import read_rq_time
from stepflow.store.runs import load_data, load_run
from stepflow.store.values.codec import unpack

Calls = dict[str, Call[Any]]
Answers = dict[str, Any]

#: hooks of an ended run that are looked at
_HOOKS = 6
#: children of a run that are listed to find the oldest of a map
_LISTED = 500


async def named(groups: Sequence[Calls]) -> list[Answers]:
    """Await groups of calls in one round trip; gives the answers under the calls' names."""
    answers = iter(await batch_of([call for group in groups for call in group.values()]))
    return [{name: next(answers) for name in group} for group in groups]


@dataclass(slots=True)
class Look:
    """One run that is looked at, and what was read of it so far."""

    run_id: str
    #: how many levels of children may be looked at below it
    levels: int
    first: Answers = field(default_factory=dict)
    second: Answers = field(default_factory=dict)
    third: Answers = field(default_factory=dict)
    commands: Sequence[OpenCommand] = ()
    options: StoredOptions = NO_OPTIONS
    child: Look | None = None

    @property
    def run(self) -> Run | None:
        """Its record."""
        run: Run | None = self.first["run"]
        return run

    @property
    def is_parked_in_map(self) -> bool:
        """Whether it waits for its turn in a map."""
        return bool(self.first["glance"][-1] == str(Parked.LIMIT).encode())


async def read_facts(run_ids: Sequence[str], env: Env, *, levels: int = MAX_DEPTH) -> list[Facts]:
    """Read all that is known of runs; *levels* of children are followed."""
    world, looks = WorldReader(env), [Look(run_id, levels) for run_id in run_ids]
    beginning, going_on = list(looks), list[Look]()
    while beginning or going_on or not world.is_read:
        groups = [
            world.calls(), *(_first(look, env.keys) for look in beginning),
            *(_second(look, env.keys, world.waiting_lists) for look in going_on),
        ]  # fmt: skip
        said, *answers = await named(groups)
        world.take(said)
        for look, answer in zip(beginning, answers, strict=False):
            _take_first(look, answer)
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
    return [_facts(look, world.world(), env.keys) for look in looks]


def _with_children(looks: Sequence[Look]) -> list[Look]:
    found = list[Look]()
    for look in looks:
        at: Look | None = look
        while at is not None:
            found.append(at)
            at = at.child
    return found


# the calls


def _first(look: Look, keys: Keys) -> Calls:
    """Read the record, and where it stands in the indexes."""
    run_id = look.run_id
    return {
        "run": load_run(keys, run_id), "glance": glance(keys, run_id),
        "data": load_data(keys, run_id), "lease": lease_of(keys, run_id),
        "due": due_of(keys, run_id), "deadline": score_of(keys.deadlines, run_id),
        "live": score_of(keys.live, run_id),
    }  # fmt: skip


def _take_first(look: Look, answer: Answers) -> None:
    look.first = answer
    if look.run is None:
        return
    look.options = _options(answer["data"])
    if look.run.state is RunState.WAITING and not look.is_parked_in_map:
        look.commands = read_open(answer["data"].get(b"open"))
    children = [command.awaited_id for command in look.commands if command.kind == "child"]
    if children and look.levels:
        look.child = Look(children[0], look.levels - 1)


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
        calls |= _of_waiting(look, run, keys)
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
    return calls | {
        "queued": score_of(keys.queued_at(queue), run_member(run.id)),
        "position": position_of(keys.rq_list(queue), run.delivery),
        "waiting": position_of(waiting, run.delivery),
        "waiting_length": list_length(waiting),
    }


def _of_waiting(look: Look, run: Run, keys: Keys) -> Calls:
    calls: Calls = {}
    kinds = {command.kind for command in look.commands}
    if "signal" in kinds:
        calls["mail"] = mail_of(keys, run.id)
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
    if _is_nowhere(look):
        calls["position"] = position_of(keys.rq_list(keys.queue_of(run)), run.delivery, most=0)
    parent = second.get("parent")
    if parent is not None and parent.is_finished:
        calls["stop"] = load_hook(keys, f"{parent.id}-{parent.generation}-{parent.ends}-children")
    for name, hook in second.items():
        if name.startswith("hook ") and hook is not None and not _stands(hook, second, keys):
            calls[name] = position_of(keys.rq_list(keys.hook_queue), hook.delivery, most=0)
    return calls


def _is_nowhere(look: Look) -> bool:
    second = look.second
    return (
        "position" in second
        and second["position"] is None
        and second["queued"] is None
        and second["waiting"] is None
        and _in_build_list(look) is None
    )


def _in_build_list(look: Look) -> int | None:
    """Give its position in the waiting list of a build; None when it stands in none."""
    places = (at for name, at in look.second.items() if name.startswith("build "))
    return next((at for at in places if at is not None), None)


def _stands(hook: HookRecord, second: Answers, keys: Keys) -> bool:
    """Whether a hook has ended, or stands where its next move comes from."""
    if hook.state in {DEAD, DELIVERED} or hook.damage:
        return True
    indexes = (
        [keys.claims] if hook.token else [keys.due, keys.queued_at(keys.hook_queue)]
    )  # fmt: skip
    return any(second[f"{index} {hook.id}"] is not None for index in indexes)


# the facts


def _facts(look: Look, world: World, keys: Keys) -> Facts:
    run, second = look.run, look.second
    if run is None:
        names = (name for name, score in second.items() if score is not None)
        ended_as = next((name.partition(" ")[0] for name in names), "")
        is_live = look.first["live"] is not None
        return Facts(look.run_id, world, None, Indexes(None, None, None, is_live, ended_as))
    first, kept = look.first, KeptData(look.first["data"], run)
    error = kept.error(b"error") if run.is_finished else None
    policy = look.options.policy
    return Facts(
        look.run_id, world, run,
        Indexes(first["lease"], first["due"], first["deadline"], first["live"] is not None),
        reason=kept.text(b"reason") or "",
        error=error.brief() if error is not None else kept.text(b"last_error") or "",
        tried=_tried(first["data"].get(b"tried")),
        attempts=0 if policy is None else policy.max_attempts,
        place=_place(look, run, world, keys) if "position" in second else Place(),
        claimed_at=read_rq_time(second.get("started")) or 0.0,
        awaited=_awaited(look),
        turn=_turn(look), hooks=_hooks(look),
        lost_hooks=[
            name.removeprefix("hook ")
            for name, position in look.third.items()
            if name.startswith("hook ") and position is None
        ],
        child=None if look.child is None or look.child.first == {}
        else _facts(look.child, world, keys),
        expires_at=second.get("expires") or second.get("old expires") or 0.0,
        tags=kept.tags(),
        is_still=first["glance"] == second["glance"],
    )  # fmt: skip


def _options(data: Mapping[bytes, bytes]) -> StoredOptions:
    try:
        return read_options(data.get(b"spec"))
    except StepflowError:
        return NO_OPTIONS


def _tried(packed: bytes | None) -> tuple[str, str]:
    tried = read_tried(packed)
    if tried is None or not tried.trials:
        return "", ""
    return tried.workers, tried.trials[-1].problem


def read_open(packed: bytes | None) -> list[OpenCommand]:
    """Read what a parked run waits for; nothing where it does not say, or cannot be read."""
    try:
        return [OpenCommand.read(parts) for parts in unpack(packed)] if packed else []
    except (StepflowError, ValueError, TypeError):
        return []


def _place(look: Look, run: Run, world: World, keys: Keys) -> Place:
    second, queue = look.second, keys.queue_of(run)
    position = look.third.get("position", second["position"])
    length, of_build = world.lengths.get(queue, 0), _in_build_list(look)
    if of_build is not None:
        return Place(
            queue, second["queued"], position, length, waiting_position=of_build, is_listed=True,
            is_of_build=True,
        )  # fmt: skip
    return Place(
        queue, second["queued"], position, length,
        is_searched=position is not None or "position" in look.third or length <= NEAR,
        waiting_position=second["waiting"], waiting_length=second["waiting_length"],
        is_listed=f"{queue}|{run.runner_key}" in world.waiting_lists,
    )  # fmt: skip


def _awaited(look: Look) -> Awaited:
    second = look.second
    mail = [item.partition(b"|")[0].decode("utf-8", "replace") for item in second.get("mail", ())]
    questions = {
        digest.decode("utf-8", "replace"): type_in_words(packed)
        for digest, packed in second.get("questions", {}).items()
        if digest
    }
    digests = [command.awaited_id for command in look.commands if command.kind == "question"]
    ids = [command.awaited_id for command in look.commands if command.kind in {"child", "map"}]
    told = [*zip(digests, second.get("replies", ()), strict=False)]
    told += zip(ids, second.get("ends", ()), strict=False)
    gone = [
        name.removeprefix("is ")
        for name, is_there in second.items()
        if name.startswith("is ") and not is_there
    ]
    maps = {
        command.awaited_id: _counts(second.get("maps", {}), command.awaited_id)
        for command in look.commands
        if command.kind == "map"
    }
    arrived = frozenset(name for name, reply in told if reply is not None)
    return Awaited(
        look.commands, mail, questions, arrived, maps, frozenset(gone), second.get("children", 0),
    )  # fmt: skip


def _counts(row: Mapping[bytes, bytes], stem: str) -> MapCounts:
    def number(what: str) -> int:
        written = row.get(f"{stem}.{what}".encode(), b"")
        return int(written) if written.isdigit() else 0

    total = row.get(f"{stem}.goal".encode(), b"").rpartition(b"|")[2]
    return MapCounts(
        int(total) if total.isdigit() else 0, number("ok"), number("bad"), number("next")
    )


def _turn(look: Look) -> Turn | None:
    if "parent" not in look.second or look.options.parent is None:
        return None
    second, stop = look.second, look.third.get("stop")
    stem, _, number = look.run_id.rpartition("-")
    return Turn(
        look.options.parent.run_id, int(number) if number.isdigit() else 0, second["parent"],
        _counts(second["maps"], stem), second["settled"][0] is not None,
        stop is not None and stop.state not in {DEAD, DELIVERED},
    )  # fmt: skip


def _hooks(look: Look) -> list[HookRecord]:
    found = [hook for name, hook in look.second.items() if name.startswith("hook ")]
    return [hook for hook in found if hook is not None]

"""
Runs that start runs.

A child is made once, under its parent's claim, and stopped when its parent ends first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from stepflow.core.children import ChildGroup, Parent
from stepflow.core.journal import settled_maps
from stepflow.core.run import Cleanup, Run, RunState, StopKind, StopRequest
from stepflow.engine.cancel import stop_run
from stepflow.engine.env import Env
from stepflow.engine.lanes.name import with_lane_of
from stepflow.engine.spec import RunSpec
from stepflow.engine.submit import prepare
from stepflow.engine.versions import Versions
from stepflow.errors import ClaimLost, RunConflict, SpawnRefused
from stepflow.store.calls import batch_of, together
from stepflow.store.children import (
    SpawnReply,
    forget_children,
    load_answers,
    load_maps,
    scan_children,
    submit_child,
    tell_gone,
)
from stepflow.store.family_update import family_update
from stepflow.store.run_hash import UNKNOWN, read_run
from stepflow.store.runs import load_run
from stepflow.store.values.codec import pack

log = logging.getLogger("stepflow.run")

#: children looked at in one round trip
PAGE = 200


async def spawn_children(
    specs: Sequence[RunSpec],
    run: Run,
    token: str,
    env: Env,
    *,
    depth: int,
    versions: Versions,
    family: str = "",
    abandon: bool = False,
    group: ChildGroup | None = None,
) -> bool:
    """
    Make children of *run* in one round trip; those that exist stay as they are.

    *depth* counts from the first run of the tree, which *family* names where that is not *run*.
    Each spec has a run id, which ends in its index for a child of *group*; *versions* chooses the
    version of those without one. False when the group is settled already. Raises ClaimLost,
    SpawnRefused for a run that is being stopped or is too deep, RunConflict for an id that another
    runner has, UnknownChild.
    """
    specs = await versions.choose_for_children(specs, env)
    calls = []
    most = env.settings.limits.nested_runs
    for spec in specs:
        if depth > most:
            raise SpawnRefused(run.id, most)
        index = None if group is None else int(str(spec.run_id).rpartition("-")[2])
        parent = Parent(run.id, run.generation, env.keys.queue_of(run), depth, index)
        made = prepare(replace(with_lane_of(spec, run, env), parent=parent, family=family), env)
        calls.append(
            submit_child(
                env.keys, made.run, run, token, request=made.request, data=made.data,
                tags=made.tags, listed=not abandon, group=group, index=index or 0,
            )
        )  # fmt: skip
    replies = await batch_of(calls)
    if not all(
        _check_spawned(reply, spec, run, env, listed=not abandon)
        for spec, reply in zip(specs, replies, strict=True)
    ):
        return False
    if not abandon:
        run.cleanup = max(run.cleanup, Cleanup.NEEDED)
    return True


def _check_spawned(reply: SpawnReply, spec: RunSpec, run: Run, env: Env, *, listed: bool) -> bool:
    """Say whether the child exists now, and note what the script did to the record of *run*."""
    match reply.refused:
        case "lost":
            raise ClaimLost(
                f"run {run.id!r} was claimed by another worker; child {spec.run_id!r} not made"
            )
        case "stopped":
            raise SpawnRefused(run.id)
        case "settled":
            return False
    # what else raised the rev, such as a request to pause, has the commit read the record again
    if reply.rev == run.rev + 1 and (not run.has_children or (listed and not run.cleanup)):
        run.rev = reply.rev
    run.has_children = True
    if reply.there is not None:
        there = read_run(str(spec.run_id), reply.there, env.keys)
        if there.runner != spec.runner:
            raise RunConflict(there.id, "runner", there.state)
    return True


async def stop_children(run_id: str, generation: int, env: Env) -> None:
    """
    Stop the children that end with a run; safe to repeat.

    A child whose record is gone counts as ended.
    """
    cursor = "0"
    while True:
        cursor, ids = await scan_children(env.keys, run_id, generation, cursor, PAGE)
        if ids:
            await _stop(ids, run_id, generation, f"its parent {run_id!r} ends", env)
        if cursor == "0":
            return


async def stop_group(group: ChildGroup, run: Run, env: Env) -> list[str]:
    """
    Stop the children of a settled map that have not ended; safe to repeat.

    Returns those that were there, and may not have ended yet.
    """
    ids, stopped = group.children(), []
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        answers = await load_answers(env.keys, run, page)
        left = [child for child, answer in zip(page, answers, strict=True) if answer is None]
        if left:
            reason = "the map it belongs to is settled without it"
            stopped += await _stop(left, run.id, run.generation, reason, env)
    return stopped


async def _stop(
    ids: Sequence[str], run_id: str, generation: int, reason: str, env: Env
) -> list[str]:
    """Ask these to end; returns those that were there and had not."""
    runs = await batch_of([load_run(env.keys, child) for child in ids])
    gone = [child for child, run in zip(ids, runs, strict=True) if run is None]
    if gone:
        await forget_children(env.keys, run_id, generation, gone)
    stop = StopRequest(StopKind.CANCEL, reason, env.clock.now())
    living = [run.id for run in runs if run is not None and not run.is_finished]
    await together([stop_run(child, stop, env) for child in living])
    return living


async def tell_of_gone(run_id: str, child_id: str, env: Env) -> bool:
    """
    Tell run *run_id*, once, that a child on its list has failed because its record is gone.

    True when this call told it.
    """
    run = await load_run(env.keys, run_id)
    if run is None or run.damage or run.is_finished:
        return False
    stem, _, number = child_id.rpartition("-")
    in_map = number.isdecimal() and f"{stem}.goal".encode() in (await load_maps(env.keys, run))
    parent = Parent(
        run.id, run.generation, env.keys.queue_of(run), 1, int(number) if in_map else None
    )
    told = f"{RunState.FAILED}|".encode() + pack(["RecordGone", "its record is gone"])
    child = Run(child_id, UNKNOWN, run.queue, run.priority)
    update = family_update(env.keys, child, parent, RunState.FAILED, told)
    done: bool = await tell_gone(env.keys, child_id, update, now=env.clock.now())
    if done:
        log.error(
            "run=%s is told that its child %s has failed: its record is gone", run_id, child_id
        )
    return done


async def progress(run: Run, env: Env) -> str:
    """
    Say how far the maps of *run* have come, such as "12 of 1000 children".

    Empty without maps.
    """
    rows = await load_maps(env.keys, run)
    shown = []
    for name, goal in rows.items():
        stem, _, what = name.partition(b".")
        if what == b"goal":
            ended = _whole(rows.get(stem + b".ok", b"")) + _whole(rows.get(stem + b".bad", b""))
            shown.append(f"{ended} of {_whole(goal.rpartition(b'|')[2]) or 'some'} children")
    return ", ".join(shown[:3])


def _whole(written: bytes) -> int:
    return int(written) if written.isdigit() else 0


async def map_answers(run: Run, journal: Sequence[bytes], env: Env) -> dict[str, bytes]:
    """Give how the children of the settled maps in *journal* ended, by run id."""
    found: dict[str, bytes] = {}
    for group in settled_maps(journal):
        ids = group.children()
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            answers = await load_answers(env.keys, run, page)
            found |= {
                child: answer
                for child, answer in zip(page, answers, strict=True)
                if answer is not None
            }
    return found

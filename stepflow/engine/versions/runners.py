"""What operators look at: the runners that workers have or had, in which version and build."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from stepflow.core.ids import runner_key, split_build, split_runner
from stepflow.engine.env import Env
from stepflow.engine.versions.builds import LIVE_S, Announced, announced
from stepflow.engine.versions.choose import read_said
from stepflow.store.calls import batch, batch_of
from stepflow.store.query import list_length, load_versions, members, server_time
from stepflow.times import as_datetime


@dataclass(frozen=True, slots=True)
class RunnerInfo:
    """
    A runner in one version, as workers know it.

    *builds* names the live workers that have each build of it, *queues* those that they serve.
    *waiting* counts the runs that no worker which came by could run. *seen_at* is when a worker
    last said that it has it; one that nobody has had for a month is forgotten.
    """

    runner: str
    version: int
    builds: Mapping[str, Sequence[str]]
    queues: Sequence[str]
    waiting: int
    seen_at: datetime | None


async def runners(env: Env) -> list[RunnerInfo]:
    """Describe the runners that workers know, and those that runs wait for, by name and version."""
    now, said, lists = await batch(
        server_time(), load_versions(env.keys), members(env.keys.waiting_lists)
    )
    env.clock.learn(now)
    live = [one for one in await announced(env) if one.age_s < LIVE_S]
    waiting = await _waiting(lists, env)
    seen = {(name, version): at for at, name, version in read_said(said)}
    known = {*seen, *waiting, *(which for one in live for which in _known(one))}
    return [
        _info(which, seen.get(which), waiting.get(which, 0), live)
        for which in sorted(known)
        if not which[0].startswith("step:")
    ]


def _info(
    which: tuple[str, int], seen_at: float | None, waiting: int, live: Sequence[Announced]
) -> RunnerInfo:
    name, version = which
    key = runner_key(name, version)
    builds, queues = defaultdict[str, list[str]](list), set[str]()
    for one in live:
        if key in one.builds:
            builds[one.builds[key]].append(one.worker)
            queues |= {*one.group.split("+")}
    workers = {build: sorted(names) for build, names in sorted(builds.items())}
    return RunnerInfo(name, version, workers, sorted(queues), waiting, as_datetime(seen_at or 0.0))


def _known(one: Announced) -> list[tuple[str, int]]:
    return [(name, version) for _, name, version in read_said([(key, 0.0) for key in one.builds])]


async def _waiting(lists: Sequence[str], env: Env) -> dict[tuple[str, int], int]:
    """Count what is in the waiting lists, by runner and version."""
    if not lists:
        return {}
    named = [entry.rpartition("|")[::2] for entry in lists]
    lengths = await batch_of(
        [list_length(env.keys.waiting_list(queue, runner)) for queue, runner in named]
    )
    found = defaultdict[tuple[str, int], int](int)
    for (queue, runner), length in zip(named, lengths, strict=True):
        key, _ = split_build(runner)
        if length and queue != env.keys.hook_queue:
            try:
                found[split_runner(key)] += length
            except ValueError:  # nothing of ours
                continue
    return found

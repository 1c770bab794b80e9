"""Versions of workflows: which one a submit takes, and which ones live workers have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from stepflow.core.ids import split_runner
from stepflow.engine.env import Env
from stepflow.engine.spec import RunSpec
from stepflow.store.query import load_versions

#: seconds that a worker, and what it says of its versions, counts as live; it says so once a second
LIVE_S = 5.0
#: seconds that one client goes by what it last read of the workers' versions
FRESH_S = 5.0
#: seconds after which a version that no worker has is forgotten
FORGET_S = 30 * 86400.0

#: runner keys, each with the time of the last report
Said = Sequence[tuple[str, float]]


def newest_version(runner: str, said: Said, now: float) -> int:
    """
    Give the newest version that live workers have.

    Without any, the version of the last report; else 1.
    """
    known = [(at, version) for at, name, version in _read(said) if name == runner]
    live = [version for at, version in known if at > now - LIVE_S]
    if live:
        return max(live)
    return max(known)[1] if known else 1


async def live_versions(runner: str, env: Env) -> list[int]:
    """Give the versions of workflow *runner* that live workers have, the oldest first."""
    said = await load_versions(env.keys)
    since = env.clock.now() - LIVE_S
    return sorted(version for at, name, version in _read(said) if at > since and name == runner)


def _read(said: Said) -> Iterator[tuple[float, str, int]]:
    """Read the reports as (time, name, version), without those that name no version."""
    for key, at in said:
        try:
            name, version = split_runner(key)
        except ValueError:
            continue
        yield at, name, version


class Versions:
    """
    Chooses the version of runs that are submitted without one, for one client.

    *registered* gives the newest version of a runner in the code at hand. When that is None the
    newest that workers have is taken, which is read once in FRESH_S at most.
    """

    def __init__(self, registered: Callable[[str], int | None] | None = None) -> None:
        self.registered = registered or _nothing
        self._said: Said = ()
        self._read_at = -FRESH_S

    async def choose(self, specs: Sequence[RunSpec], env: Env) -> list[RunSpec]:
        """Give the specs, each with its version."""
        chosen = []
        for spec in specs:
            version = await self._version(spec, env)
            chosen.append(replace(spec, version=version))
        return chosen

    async def _version(self, spec: RunSpec, env: Env) -> int:
        version = self.registered(spec.runner) if spec.version is None else spec.version
        if version is not None:
            return version
        if time.monotonic() - self._read_at >= FRESH_S:
            self._said = await load_versions(env.keys)
            self._read_at = time.monotonic()
        return newest_version(spec.runner, self._said, env.clock.now())


def _nothing(runner: str) -> None:
    del runner

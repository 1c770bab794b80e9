"""Versions: which one a submit takes, and which ones live workers hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from stepflow.core.ids import split_runner
from stepflow.engine.env import Env
from stepflow.engine.spec import RunSpec
from stepflow.store.versions import load_versions

#: seconds that a worker, and what it says of its versions, counts as live; it says so once a second
LIVE_S = 5.0
#: seconds that what workers said is not read again by the same client
FRESH_S = 5.0
#: seconds after which a version that nobody has held is forgotten
FORGET_S = 30 * 86400.0

#: runner keys with the time they were last said
Said = Sequence[tuple[str, float]]


def newest_held(runner: str, said: Said, now: float) -> int:
    """
    Give the newest version that live workers hold.

    With none alive, the newest of those said last; else 1.
    """
    known = [(at, version) for at, name, version in _read(said) if name == runner]
    live = [version for at, version in known if at > now - LIVE_S]
    if live:
        return max(live)
    return max(known)[1] if known else 1


async def live_versions(runner: str, env: Env) -> list[int]:
    """Give the versions of workflow *runner* that live workers hold, the oldest first."""
    said = await load_versions(env.keys)
    since = env.clock.now() - LIVE_S
    return sorted(version for at, name, version in _read(said) if at > since and name == runner)


def _read(said: Said) -> Iterator[tuple[float, str, int]]:
    """Read who said what when; what names no version was said by nobody of ours."""
    for key, at in said:
        try:
            name, version = split_runner(key)
        except ValueError:
            continue
        yield at, name, version


class Versions:
    """
    Chooses the version of runs that are submitted without one, for one client.

    *registered* gives the newest version that the code at hand has of a runner, None when it has
    none: then it is the newest that workers hold, asked for once in FRESH_S at most.
    """

    def __init__(self, registered: Callable[[str], int | None] | None = None) -> None:
        self.registered = registered or _nothing
        self._said: Said = ()
        self._read_at = -FRESH_S

    async def choose(self, specs: Sequence[RunSpec], env: Env) -> list[RunSpec]:
        """Give the specs, each with its version."""
        chosen = []
        for spec in specs:
            chosen.append(replace(spec, version=(await self._version(spec, env))))  # noqa: PERF401  it yields
        return chosen

    async def _version(self, spec: RunSpec, env: Env) -> int:
        version = self.registered(spec.runner) if spec.version is None else spec.version
        if version is not None:
            return version
        if time.monotonic() - self._read_at >= FRESH_S:
            self._said = await load_versions(env.keys)
            self._read_at = time.monotonic()
        return newest_held(spec.runner, self._said, env.clock.now())


def _nothing(runner: str) -> None:
    del runner

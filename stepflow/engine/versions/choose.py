"""Which version of a workflow a submit takes, by what workers say that they have."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stepflow.core.ids import split_runner
from stepflow.engine.env import Env
from stepflow.engine.spec import RunSpec
from stepflow.engine.versions.builds import LIVE_S
from stepflow.errors import UnknownChild, UnknownRunner, did_you_mean
from stepflow.store.query import load_versions

if TYPE_CHECKING:
    from stepflow.core.limits.limit import Limit

log = logging.getLogger("stepflow.client")

#: seconds that one client goes by what it last read of the workers' versions
FRESH_S = 5.0
#: seconds after which a version that no worker has is forgotten
FORGET_S = 30 * 86400.0
#: seconds after which they are read anew because a runner is not among them
RECHECK_S = 1.0
#: runners that a warning names
MOST_NAMED = 20

#: stands among the runner keys when some runner has limits; it is no runner's
LIMITS = "limits@any"

#: runner keys, each with the time of the last report
Said = Sequence[tuple[str, float]]


def newest_version(runner: str, said: Said, now: float) -> int:
    """
    Give the newest version that live workers have.

    Without any, the version of the last report; else 1.
    """
    known = [(at, version) for at, name, version in read_said(said) if name == runner]
    live = [version for at, version in known if at > now - LIVE_S]
    if live:
        return max(live)
    return max(known)[1] if known else 1


async def live_versions(runner: str, env: Env) -> list[int]:
    """Give the versions of workflow *runner* that live workers have, the oldest first."""
    said = await load_versions(env.keys)
    since = env.clock.now() - LIVE_S
    return sorted(version for at, name, version in read_said(said) if at > since and name == runner)


def read_said(said: Said) -> Iterator[tuple[float, str, int]]:
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
    newest that workers have is taken, which is read once in FRESH_S at most. The same reports tell
    of a runner that nobody knows. *limits* are those of the runners in the code at hand, by key.
    """

    def __init__(
        self,
        registered: Callable[[str], int | None] | None = None,
        limits: Mapping[str, Sequence[Limit]] | None = None,
    ) -> None:
        self._limits = {} if limits is None else limits
        self.registered = registered or _nothing
        self._said: Said = ()
        self._read_at = -FRESH_S
        #: the unknown runners that were warned about
        self._warned: set[str] = set()

    async def choose(self, specs: Sequence[RunSpec], env: Env) -> list[RunSpec]:
        """
        Give the specs, each with its version and its limits.

        A runner that no live worker knows, although there are some, is a warning, once; for a
        strict spec it is UnknownRunner, also when no worker lives.
        """
        chosen = []
        for spec in specs:
            version = await self._version(spec, env)
            is_said = version == (spec.version or 1)  # it stands there, or is what None means
            chosen.append(spec if is_said else replace(spec, version=version))
        if (
            self._limits
            or any(name == LIMITS for name, _ in self._said)
            or any(spec.limits or spec.units for spec in specs)
        ):
            from stepflow.engine.limits.choose import with_limits  # noqa: PLC0415  few have any

            return await with_limits(chosen, self._limits, env)
        return chosen

    async def choose_for_children(self, specs: Sequence[RunSpec], env: Env) -> list[RunSpec]:
        """
        Give the specs, each with its version.

        Raises UnknownChild for a runner that neither this worker nor, within a month, another one
        has known.
        """
        for runner in {spec.runner for spec in specs}:
            if self.registered(runner) is None and runner not in await self._names(env, runner):
                raise UnknownChild(runner, _shown_names(self._said))
        return await self.choose(specs, env)

    async def _version(self, spec: RunSpec, env: Env) -> int:
        at_hand = self.registered(spec.runner)
        version = at_hand if spec.version is None else spec.version
        if version is not None and (at_hand is not None or not spec.strict):
            if at_hand is None:
                await self._read(env, FRESH_S)  # that says whether any runner has limits
            return version
        if spec.runner not in await self._names(env, spec.runner, since=env.clock.now() - LIVE_S):
            self._miss(spec, env)
        if version is not None:
            return version
        return newest_version(spec.runner, self._said, env.clock.now())

    async def _names(self, env: Env, wanted: str, since: float = 0.0) -> set[str]:
        """
        Give the runners that workers have said since then that they know.

        Where *wanted* is not among them, that was read a second ago at most.
        """
        for fresh_s in (FRESH_S, RECHECK_S):
            await self._read(env, fresh_s)
            names = {name for at, name, _ in read_said(self._said) if at > since}
            if wanted in names:
                break
        return names

    async def _read(self, env: Env, fresh_s: float) -> None:
        """Read what workers say of their runners, unless that was done so many seconds ago."""
        if time.monotonic() - self._read_at >= fresh_s:
            self._said = await load_versions(env.keys)
            self._read_at = time.monotonic()

    def _miss(self, spec: RunSpec, env: Env) -> None:
        """Say that no live worker knows the runner of *spec*."""
        known = _shown_names(self._said, since=env.clock.now() - LIVE_S)
        if spec.strict:
            raise UnknownRunner(spec.runner, known)
        if known and spec.runner not in self._warned:
            self._warned.add(spec.runner)
            log.warning(
                "no live worker knows runner %r, and its runs wait for one that does; known: %s%s",
                spec.runner, ", ".join(known[:MOST_NAMED]), did_you_mean(spec.runner, known),
            )  # fmt: skip


def _shown_names(said: Said, since: float = 0.0) -> list[str]:
    """Give the runners that workers have said since then, without the steps of workflows."""
    return sorted(
        {name for at, name, _ in read_said(said) if at > since and not name.startswith("step:")}
    )


def _nothing(runner: str) -> None:
    del runner

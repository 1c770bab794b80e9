"""
Submitting a group: its manifest is written slice by slice, then its members begin.

A client that dies while it writes has begun nothing, and the next one goes on where it stopped.
Once all is written, whoever comes next begins the members: this client, another one, or a worker.
"""

from __future__ import annotations

from collections.abc import Mapping

from stepflow.core import probes
from stepflow.core.fanout.group import GroupState
from stepflow.engine.env import Env
from stepflow.engine.groups.carry import HOLD_S, look
from stepflow.engine.groups.manifest import Manifest
from stepflow.errors import GroupMismatch
from stepflow.store.groups.moves import OTHER_MANIFEST, write_slice
from stepflow.store.groups.reads import load_group, load_slice
from stepflow.store.groups.record import read_names, write_members, write_names

#: seconds that a manifest is kept that nobody writes on
UNFINISHED_S = 86400.0


async def submit_group(manifest: Manifest, env: Env) -> bool:
    """
    Submit a group; True when it was not there, whole, before.

    Safe to repeat, and by many at once. Raises GroupMismatch for another manifest of that name.
    """
    group = manifest.group
    there = await load_group(env.keys, group.id)
    at = 0 if there is None or there.digest != group.digest else there.written
    is_new = at < group.slices
    while at < group.slices:
        first, part = manifest.slices[at]
        name = write_names([(member.key, digest) for digest, member in part])
        spec = write_members(first, [member for _, member in part])
        probes.at("group.slice")
        at = await write_slice(
            env.keys, group, at, name, spec, ttl_s=UNFINISHED_S,
            due_at=env.clock.now() + HOLD_S,
        )  # fmt: skip
        if at == OTHER_MANIFEST:
            raise await _mismatch(manifest, env)
    probes.at("group.written")
    await _begin(group.id, env)
    return is_new


async def _begin(group_id: str, env: Env) -> None:
    """Begin its members, until all have begun, or somebody stops it."""
    while True:
        group = await load_group(env.keys, group_id)
        if group is None or group.state is not GroupState.SUBMITTING:
            return
        if not await look(group_id, env):
            return


async def _mismatch(manifest: Manifest, env: Env) -> GroupMismatch:
    """Say in what the group that is there differs."""
    group_id, ours = manifest.group.id, manifest.digests()
    theirs = await _names(group_id, env)
    return GroupMismatch(
        group_id,
        added=sorted(ours.keys() - theirs.keys()),
        missing=sorted(theirs.keys() - ours.keys()),
        changed=sorted(key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]),
    )


async def _names(group_id: str, env: Env) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    number = 0
    while (packed := await load_slice(env.keys, group_id, "names", number)) is not None:
        found.update(read_names(packed))
        number += 1
    return found

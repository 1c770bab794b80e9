"""
What belongs to a group, in slices: which members, and what each begins with.

The same members make the same slices and the same digest, in whatever order they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from stepflow.core.fanout.group import NO_JOIN, check_group_id, goal_of_group, member_run_id
from stepflow.core.fanout.join import JoinLike, as_join
from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.engine.spec import RunSpec, pack_options
from stepflow.engine.submit import CHUNK, prepare
from stepflow.errors import InvalidOption
from stepflow.store.groups.record import GroupRecord, Member
from stepflow.store.run_hash import CHOSEN
from stepflow.store.values.codec import pack
from stepflow.times import seconds, unix_time

#: bytes of what members begin with, after which a slice ends
_SLICE_BYTES = 1_000_000

#: a slice: the number of its first member, and (digest, member) of each
Slice = tuple[int, Sequence[tuple[bytes, Member]]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A group as it is to be, and its slices."""

    group: GroupRecord
    slices: Sequence[Slice]

    def digests(self) -> dict[str, bytes]:
        """Give the digest of each member by its key."""
        return {member.key: digest for _, part in self.slices for digest, member in part}


def check_members(group_id: str, specs: Mapping[str, RunSpec]) -> None:
    """Raise InvalidOption for a name, a key or a spec that a group cannot have."""
    check_group_id(group_id)
    for key, spec in specs.items():
        member_run_id(group_id, key)
        if spec.run_id is not None or spec.on_conflict != "return":
            msg = (
                f"member {key!r} of group {group_id!r} has run_id or on_conflict; its run id "
                "follows from group and key, and it begins once"
            )
            raise InvalidOption(msg)


def make_manifest(
    group_id: str,
    specs: Mapping[str, RunSpec],
    chosen: Mapping[str, RunSpec],
    join: JoinLike | None,
    webhooks: Sequence[Any],
    env: Env,
) -> Manifest:
    """
    Make the manifest of a group; touches no Redis.

    *chosen* are the *specs*, each with its version and its trace. Raises what a submit raises.
    """
    check_members(group_id, specs)
    total = len(specs)
    wanted = None if join is None else as_join(join, "client.groups.submit")
    words = NO_JOIN if wanted is None else str(wanted)
    packed = pack(
        [webhook.as_dict() for webhook in webhooks], what="the webhooks of the group", in_clear=True
    )
    members = [_member(group_id, key, specs[key], chosen[key], env) for key in sorted(specs)]
    slices, now = list(_sliced(members)), env.clock.now()
    whole = blake2b(pack([words, packed], in_clear=True), digest_size=16)
    for digest, member in members:
        whole.update(member.key.encode() + b"\0" + digest)
    timeout_s = None if wanted is None else wanted.timeout_s
    group = GroupRecord(
        group_id, whole.hexdigest().encode(), words, goal_of_group(wanted, total), len(slices),
        webhooks=packed if webhooks else b"", created_at=now,
        deadline_at=0.0 if timeout_s is None else now + timeout_s,
    )  # fmt: skip
    return Manifest(group, slices)


def _sliced(members: Sequence[tuple[bytes, Member]]) -> Iterable[Slice]:
    """Cut the members into slices of 500, or less where they are large; at least one slice."""
    first, part, size = 0, list[tuple[bytes, Member]](), 0
    for number, (digest, member) in enumerate(members):
        if len(part) == CHUNK or (part and size + member.size > _SLICE_BYTES):
            yield first, part
            first, part, size = number, [], 0
        part.append((digest, member))
        size += member.size
    yield first, part


def _member(
    group_id: str, key: str, spec: RunSpec, chosen: RunSpec, env: Env
) -> tuple[bytes, Member]:
    """Check a spec as a submit does, and give its digest and what is kept of it."""
    headers = dict(sorted(spec.headers.items()))
    made = prepare(replace(chosen, run_id=member_run_id(group_id, key), headers=headers), env)
    run, data = made.run, dict(zip(made.data[::2], made.data[1::2], strict=True))
    member = Member(
        key, run.runner, run.version, run.queue, run.priority, run.digest,
        run.deadline_at - run.created_at if run.deadline_at else 0.0, run.due_at,
        bytes(data["payload"]), bytes(data.get("spec", b"")), list(made.tags), _chosen(run),  # type: ignore[arg-type]
    )  # fmt: skip
    return _digest(spec, run, headers, made.tags, env), member


def _chosen(run: Run) -> dict[str, Any]:
    """Give what a submit has chosen for a run beside what a member names."""
    return {name: value for name in CHOSEN if (value := getattr(run, name))}


def _digest(
    spec: RunSpec, run: Run, headers: Mapping[str, str], tags: Sequence[str], env: Env
) -> bytes:
    """Give the digest of what the caller said of a member; its version is the runtime's choice."""
    options = pack_options(
        replace(spec, headers=headers, trace={}), env.settings.limits.payload_bytes
    )
    said = [
        run.runner, run.digest, run.queue, run.priority, options, sorted(tags),
        sorted(map(list, spec.limits.items())), sorted(map(list, spec.units.items())),
        spec.lane, spec.on_timeout,
        None if spec.timeout is None else seconds(spec.timeout, "timeout"),
        None if spec.delay is None else seconds(spec.delay, "delay"),
        None if spec.start_at is None else unix_time(spec.start_at, "start_at"),
    ]  # fmt: skip
    return blake2b(pack(said, in_clear=True), digest_size=8).digest()

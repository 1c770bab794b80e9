"""A hook's delivery is settled with what the hook has written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stepflow.core.ids import hook_member
from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, flat_map
from stepflow.store.hooks import HookRecord
from stepflow.store.keys import RQ_QUEUES, Keys
from stepflow.store.runs.submit import Submission, submission

#: keys and arguments of each run, in the order in which the script takes them apart
_KEYS = ("data", "job", "list", "queued_at", "wake", "live_of", "scheduled")
_ARGS = (
    "run_id", "member", "created", "due", "rq_id", "queue", "lane", "rq_time", "deadline",
    "is_brief", "counted",
)  # fmt: skip


class NewRun(NamedTuple):
    """A run to make: with its data, and its tags as they are written."""

    run: Run
    data: Sequence[Part]
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class HookWrites:
    """
    What a hook has written: runs, and values of the run it was told of.

    *generation* is that run's; *written* are keys and packed values in turn.
    """

    runs: Sequence[NewRun]
    deleted: Sequence[str]
    written: Sequence[Part]
    generation: int


class Settled(NamedTuple):
    """
    What became of a settlement.

    *is_written*, also by an earlier arrival; *values_kept* unless their run is gone. Or nothing is
    written, for *taken* names by its place a run whose id is taken, and *there* is its hash.
    """

    is_written: bool
    values_kept: bool = True
    taken: int | None = None
    there: dict[bytes, bytes] | None = None


def settle_hook(
    keys: Keys, hook: HookRecord, writes: HookWrites, *, fields: Sequence[Part], ttl_s: float
) -> Call[Settled]:
    """Settle a delivery under its claim, with all of *writes* or with none."""
    made = [
        submission(keys, run, request="", data=data, tags=tags) for run, data, tags in writes.runs
    ]
    base = keys.run(hook.run_id)
    return scripts.SETTLE_HOOK.call(
        _read,
        keys={
            "hook": keys.hook(hook.id), "claims": keys.claims,
            "claimed_job": keys.rq_job(hook.claimed_rq_id), "wip": keys.rq_wip(keys.hook_queue),
            "live_hooks": keys.live_hooks, "told": base, "kv": f"{base}:kv",
            "rq_queues": RQ_QUEUES, "live": keys.live, "deadlines": keys.deadlines,
            "due": keys.due, "counts": keys.new_counts,
        },
        args={
            "token": hook.token, "hook_member": hook_member(hook.id),
            "wip_member": f"{hook.claimed_rq_id}:{hook.token}", "ttl_s": max(1, int(ttl_s)),
            "hook_id": hook.id, "generation": writes.generation, "ns": keys.namespace,
        },
        lists={
            "hook_fields": fields, "runs": [part for one in made for part in _args_of(one)],
            "deleted": writes.deleted, "written": writes.written,
        },
        key_lists={
            "run": [one.keys["run"] for one in made],
            "made": [key for one in made for key in _keys_of(one)],
        },
    )  # fmt: skip


def _keys_of(made: Submission) -> list[str]:
    lists = made.key_lists
    return [*(made.keys[name] for name in _KEYS), *lists["tag"], *lists["level"]]


def _args_of(made: Submission) -> list[Part]:
    fields, data = made.lists["fields"], made.lists["data"]
    return [
        *(made.args[name] for name in _ARGS), len(made.key_lists["tag"]),
        len(made.key_lists["level"]), len(fields), *fields, len(data), *data,
    ]  # fmt: skip


def _read(reply: Any) -> Settled:
    match reply[0]:
        case 1:
            return Settled(is_written=True, values_kept=bool(reply[1]))
        case 3:
            return Settled(is_written=False, taken=int(reply[1]) - 1, there=flat_map(reply[2]))
    return Settled(is_written=reply[0] == 2)  # noqa: PLR2004  a second arrival

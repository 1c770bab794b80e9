"""
What must hold after any attack, read from what is left: the four zeros, and an empty house.

*lost*: a submitted run that is not there, or did not end as its script says. *doubled*: a step
number committed twice or not at all. *stuck*: a run that has not ended, or a claim, queue entry or
due delivery that stands for nothing. *hooks_missing*: an end nobody was told of, or told of
wrongly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from stepflow.store.values.codec import unpack
from tests.crash.support.cluster import Cluster
from tests.crash.support.waiting import PATIENCE_S, until
from tests.support import DECLARED

#: keys that live without a time to live: indexes whose members go with their runs, and RQ's lists
#: of what there is
STATIC = re.compile(
    rf"stepflow:({'|'.join(sorted(DECLARED))}"
    r"|idx:(ended|succeeded|failed|cancelled):[^:]+|idx:expiry|totals|stat:(new|runners)"
    r"|workers:[^:]+|hooks:dead)"
    r"|rq:(queues|workers(:[\w.-]+)?|suspended)"
)
#: keys that must be gone or empty once nothing lives
EMPTY = (
    "stepflow:claims",
    "stepflow:due",
    "stepflow:deadlines",
    "stepflow:idx:live",
    "stepflow:waiting_lists",
    "stepflow:hooks:live",
)

#: kinds of journal entries that answer what a workflow asked for at a place
ANSWERS = {b"value", b"error", b"over", b"signal", b"none", b"undo", b"stop"}

ENDS = {"succeeded", "failed", "cancelled"}


@dataclass
class Findings:
    """What the checker found, by kind; all empty is what is wanted."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    hooks_missing: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    #: attempts that were begun and not committed: what the attacks cost
    attempts_lost: int = 0
    #: how often a workflow yielded its slot
    yields: int = 0

    def all(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.stuck, *self.hooks_missing, *self.left_over]


def check(
    cluster: Cluster,
    expected: Mapping[str, str],
    *,
    hooks: bool = True,
    besides: str | None = None,
    patience_s: float = PATIENCE_S,
) -> Findings:
    """
    Read everything. *expected* gives for each run id the states it may end in, such as
    `succeeded|cancelled`; a key of the name *besides* may be left over.

    Waits for hooks under way, and for what goes when they have arrived.
    """
    found = Findings()
    if hooks:
        _wait_for_hooks(cluster, expected, patience_s)
    for run_id, states in expected.items():
        _check_run(cluster, run_id, states.split("|"), found, hooks=hooks)
    found.hooks_missing += cluster.sink.receiver.wrong

    def seen() -> tuple[list[str], list[str]]:
        left = [said for said in leftovers(cluster) if said.split()[0] != besides]
        return _unquiet(cluster), left

    with suppress(AssertionError):  # the findings say what is there
        until(lambda: not any(seen()), what="quiet", patience_s=patience_s)
    stuck, found.left_over = seen()
    found.stuck += stuck
    return found


def _wait_for_hooks(cluster: Cluster, expected: Mapping[str, str], patience_s: float) -> None:
    told = cluster.sink.receiver.told
    try:
        until(lambda: len(told) >= len(expected), what="hooks", patience_s=patience_s)
    except AssertionError:
        return  # the findings say which


def _unquiet(cluster: Cluster) -> list[str]:
    redis = cluster.server.client
    found = []
    for key in EMPTY:
        if redis.exists(key):
            members = (
                redis.smembers(key)
                if redis.type(key) == b"set"
                else redis.zrange(key, 0, 5, withscores=True)
            )
            found.append(f"{key} holds {members}")
    for key in redis.scan_iter("stepflow:queued_at:*", count=1000):
        found.append(f"{key.decode()} holds {redis.zrange(key, 0, 5)}")
    return found


def _check_run(
    cluster: Cluster, run_id: str, states: list[str], found: Findings, *, hooks: bool
) -> None:
    redis = cluster.server.client
    base = f"stepflow:run:{run_id}"
    row = {
        name.decode(): value.decode(errors="replace") for name, value in redis.hgetall(base).items()
    }
    if not row:
        found.lost.append(f"run {run_id} is not there")
        return
    state = row["state"]
    if state not in ENDS:
        found.stuck.append(f"run {run_id} is {state}: {row}")
        return
    if state not in states:
        data = redis.hgetall(f"{base}:data")
        said = {name: data[name] for name in (b"error", b"reason") if name in data}
        found.lost.append(f"run {run_id} ended {state}, not {'|'.join(states)}: {row} {said}")
    _check_steps(cluster, run_id, row, found)
    if row.get("journal"):
        _check_journal(cluster, run_id, found)
    if hooks:
        _check_hooks(cluster, run_id, row, found)


def _check_steps(cluster: Cluster, run_id: str, row: Mapping[str, str], found: Findings) -> None:
    redis, base = cluster.server.client, f"stepflow:run:{run_id}"
    records = {
        name.decode(): value.decode() for name, value in redis.hgetall(f"{base}:steps").items()
    }
    closed = sorted(int(name) for name in records if name.isdigit())
    attempts = {name: record for name, record in records.items() if not name.isdigit()}
    yields = sum(".yield " in record for record in attempts.values())
    found.yields += yields
    found.attempts_lost += len(attempts) - yields
    last = int(row.get("step") or 0)
    # the last step of a run that was ended from outside has no record of its own
    if closed not in (
        list(range(last + 1)),
        list(range(last)) if row["state"] != "succeeded" else None,
    ):
        found.doubled.append(f"run {run_id} at step {last} has committed {closed}")
    tokens = [(name, *name.removesuffix("lost").split(".", 1)) for name in attempts]
    doubly = [name for name, step, token in tokens if records.get(step, "").startswith(token)]
    if doubly:
        found.doubled.append(
            f"run {run_id}: {doubly} were retried and committed under one claim: {records}"
        )
    kv = {name.decode(): unpack(value) for name, value in redis.hgetall(f"{base}:kv").items()}
    witnessed = sorted(int(name.removeprefix("step-")) for name in kv if name.startswith("step-"))
    if witnessed and (witnessed != list(range(len(witnessed))) or kv["count"] != len(witnessed)):
        found.doubled.append(f"run {run_id}: its effects say {kv}")
    if row["state"] == "succeeded":
        result = unpack(redis.hget(f"{base}:data", "result"))
        if "trail" in result and (result["trail"] != closed or witnessed != closed):
            found.doubled.append(
                f"run {run_id}: trail {result['trail']}, records {closed}, effects {witnessed}"
            )


def _check_journal(cluster: Cluster, run_id: str, found: Findings) -> None:
    """A workflow has one answer for each place."""
    entries = [
        entry.split(b"|", 3)
        for entry in cluster.server.client.lrange(f"stepflow:run:{run_id}:journal", 0, -1)
    ]
    places = Counter(place for kind, place, *_ in entries if kind in ANSWERS)
    found.doubled += [
        f"run {run_id} remembers {place!r} {count} times"
        for place, count in places.items()
        if count > 1
    ]


def _check_hooks(cluster: Cluster, run_id: str, row: Mapping[str, str], found: Findings) -> None:
    receiver = cluster.sink.receiver
    ends = int(row.get("ends") or 0)
    if ends != 1:
        found.doubled.append(f"run {run_id} has ended {ends} times")
    hook_id = f"{run_id}-{row.get('generation') or 0}-{ends}-0"
    told = receiver.told.get(hook_id)
    if told != (run_id, row["state"]):
        hook = cluster.server.client.hgetall(f"stepflow:hook:{hook_id}")
        hook.pop(b"body", None)
        hook.pop(b"target", None)
        found.hooks_missing.append(f"hook {hook_id} told {told}, the run is {row['state']}; {hook}")
    others = [
        key
        for key in receiver.told
        if key.startswith(f"{run_id}-")
        and key != hook_id
        and key[len(run_id) + 1 :].count("-") == 2
    ]
    if others:
        found.doubled.append(f"run {run_id} was told of as {others} besides {hook_id}")


def nothing_left_over(cluster: Cluster) -> None:
    """Wait until no key is left that should have gone; names those that are in AssertionError."""
    with suppress(AssertionError):
        until(lambda: not leftovers(cluster), what="nothing left over")
    found = leftovers(cluster)
    assert not found, found


def leftovers(cluster: Cluster) -> list[str]:
    """Name the keys that have no time to live and no reason to be there."""
    redis = cluster.server.client
    found = []
    keys = list(redis.scan_iter("*", count=5000))
    with redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.ttl(key)
        for key, ttl in zip(keys, pipe.execute(), strict=True):
            name = key.decode()
            if ttl == -1 and not STATIC.fullmatch(name):
                found.append(f"{name} ({redis.type(key).decode()}) is left without a time to live")
    return sorted(found)

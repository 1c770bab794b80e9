"""
What must hold after every operation, whatever came before: read from Redis, and compared with what
was read before.

Each broken rule is an AssertionError that says which, of which run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stepflow.core.run import Cleanup, Run, RunState
from stepflow.engine.env import Env
from stepflow.engine.why import Why
from stepflow.engine.why.explain import explain
from stepflow.engine.why.read import read_facts
from stepflow.settings import Settings
from stepflow.store.connection.sync import SyncConnection, carry_out
from stepflow.store.keys import Keys
from stepflow.store.run_hash import read_run
from tests.orderings.world import Content, content
from tests.support import Leaks

#: what a run may be parked on beside a time
PARKED = {"inbox", "limit"}
#: the parts of a run's record; all of them end with it
PARTS = ("", ":data", ":steps", ":kv", ":memo", ":journal", ":mail", ":sent")


@dataclass(frozen=True)
class Seen:
    """A run as it stands in Redis, and all that stands for it elsewhere."""

    run: Run
    parked: str
    steps: dict[bytes, bytes]
    parts: dict[str, tuple[bytes, Any, bool]]
    #: how often its delivery stands in a queue or a waiting list
    entries: int
    due_at: float | None
    lease_at: float | None
    is_pending: bool
    is_live: bool
    has_deadline: bool
    wip: set[str]
    #: the ends it is listed under, and those it is to be forgotten by
    done: set[str]
    expiry: set[str]
    #: hook deliveries of this generation by their number of the end, and how often each is queued
    told: Counter[int]
    mail: list[bytes]
    journal: list[bytes]


def scores(there: Content, key: str) -> dict[str, float]:
    """Read a sorted set."""
    return {member.decode(): score for member, score in there.get(key, (b"", [], False))[1]}


def items(there: Content, key: str) -> list[bytes]:
    """Read a list."""
    found: list[bytes] = there.get(key, (b"", [], False))[1]
    return found


def look_at(there: Content) -> dict[str, Seen]:
    """Read every run out of the content of a database."""
    keys = Keys()
    start = keys.run("")
    ids = [
        key.removeprefix(start)
        for key in there
        if key.startswith(start) and ":" not in key.removeprefix(start)
    ]
    lists = [key for key in there if key.startswith(("rq:queue:default", "stepflow:waiting:"))]
    waiting = Counter(rq_id.decode() for key in lists for rq_id in items(there, key))
    hook_queue = Counter(rq_id.decode() for rq_id in items(there, keys.rq_list(keys.hook_queue)))
    pending = {
        member
        for key in there
        if key.startswith("stepflow:queued_at:default")
        for member in scores(there, key)
    }
    wip = [member for key in there if key.startswith("rq:wip:") for member in scores(there, key)]
    claims, due, live, deadlines, expiry = (
        scores(there, key)
        for key in (keys.claims, keys.due, keys.live, keys.deadlines, keys.expiry)
    )
    found = {}
    for run_id in ids:
        base, member = keys.run(run_id), f"run:{run_id}"
        row = there[base][1]
        run = read_run(run_id, row, keys)
        hooks = [key for key in there if key.startswith(keys.hook(f"{run_id}-{run.generation}-"))]
        found[run_id] = Seen(
            run,
            row.get(b"parked", b"").decode(),
            there.get(f"{base}:steps", (b"", {}, False))[1],
            {part: there[base + part] for part in PARTS if base + part in there},
            waiting[run.delivery] if run.delivery else 0,
            due.get(member),
            claims.get(member),
            member in pending,
            run_id in live,
            run_id in deadlines,
            {item for item in wip if item.startswith(keys.job_prefix + f"run-{run_id}-")},
            {
                state
                for state in ("succeeded", "failed", "cancelled")
                if run_id in scores(there, keys.ended_index(state))
            },
            {item for item in expiry if item.endswith(f"|{run_id}")},
            Counter(
                {
                    int(key.rsplit("-", 2)[1]): hook_queue[there[key][1][b"delivery"].decode()]
                    for key in hooks
                }
            ),
            items(there, f"{base}:mail"),
            items(there, f"{base}:journal"),
        )
    return found


#: looks of which one asks `why` as well
WHY_EVERY = 20
#: the words that may stand for a state
WORDS = {
    RunState.RUNNING: {"running"}, RunState.PENDING: {"queued", "blocked", "held"},
    RunState.SCHEDULED: {"scheduled"}, RunState.WAITING: {"waiting"}, RunState.PAUSED: {"paused"},
    RunState.SUCCEEDED: {"ended"}, RunState.FAILED: {"ended"}, RunState.CANCELLED: {"ended"},
}  # fmt: skip


async def explained(run_ids: list[str]) -> list[Why]:
    """Ask why of runs, with an eye for what is broken."""
    return [explain(facts) for facts in await read_facts(run_ids, Env(Keys(), Settings()))]


def movers(seen: Seen) -> list[str]:
    """[O8] Say what a live run's next move comes from: there is one, and no more."""
    is_parked = seen.run.state is RunState.WAITING
    found = {
        "its claim": seen.lease_at is not None,
        "its place in a queue": bool(seen.entries or seen.is_pending),
        "its due time": seen.due_at is not None and not is_parked,
        "what it is parked on": is_parked and bool(seen.due_at or seen.parked in PARKED),
        "a person": seen.run.state is RunState.PAUSED,
    }
    return [what for what, does in found.items() if does]


@dataclass
class Watcher:
    """
    Looks after every operation: at what is there, and at what may not have changed since it last
    looked.
    """

    client: Any
    last: dict[str, Seen] = field(default_factory=dict)
    looks: int = 0

    def look(self) -> dict[str, Seen]:
        """Check everything and give what is there."""
        seen = check(content(self.client))
        compare(self.last, seen)
        self.last = seen
        if self.looks % WHY_EVERY == 0:
            self.agree_with_why()
        self.looks += 1
        return seen

    def agree_with_why(self) -> None:
        """[O8] `why` finds nothing broken, and says of each run what its record says."""
        connection = SyncConnection(self.client, "the test's server")
        whys = carry_out(connection, explained(list(self.last)))
        for why, seen in zip(whys, self.last.values(), strict=True):
            words = WORDS[seen.run.state] | ({"stopping"} if seen.run.stop else set())
            assert why.word in words, f"{seen.run.id} is {seen.run.state}, why says {why!r}"

    def look_for_leaks(self) -> None:
        """Look for what is left behind more closely, and more slowly."""
        leaked = Leaks(self.client).find()
        assert not leaked, f"without a time to live, and of nothing that lives: {leaked}"


def compare(before: Mapping[str, Seen], now: Mapping[str, Seen]) -> None:
    """Check what cannot have become of what was there before."""
    for run_id, seen in before.items():
        assert run_id in now, f"run {run_id} is gone"
        _compare(seen, now[run_id])


def _compare(before: Seen, now: Seen) -> None:
    run, was = now.run, before.run
    assert run.rev >= was.rev, f"rev of {run.id} went from {was.rev} to {run.rev}"
    assert run.generation in (was.generation, was.generation + 1)
    if run.generation > was.generation:
        assert was.is_finished, f"{run.id} was restarted while it was {was.state}"
        assert run.rev > was.rev
        return
    assert run.ends in (was.ends, was.ends + 1), f"{run.id} ended {was.ends} times, then {run.ends}"
    assert (run.ends > was.ends) <= (not was.is_finished), (
        f"{run.id} ended again without having been revived"
    )
    assert run.step in (was.step, was.step + 1), f"{run.id} went from step {was.step} to {run.step}"
    moved = (run.state, run.step, run.token, run.delivery, run.stop) != (
        was.state, was.step, was.token, was.delivery, was.stop,
    )  # fmt: skip
    assert run.rev > was.rev or not moved, f"{run.id} moved at rev {run.rev}: {was} became {run}"
    if was.is_finished and run.is_finished:
        assert now.parts == before.parts, f"the ended run {run.id} changed"
    if was.is_finished and not run.is_finished:
        assert was.state is RunState.FAILED, f"{run.id} came back from {was.state}"
        assert run.rev > was.rev
    if was.cleanup is Cleanup.STARTED:
        assert run.cleanup is Cleanup.STARTED
    _compare_steps(before, now)


def _compare_steps(before: Seen, now: Seen) -> None:
    """A step is closed once; only an operator's retry opens it again."""
    for name, record in before.steps.items():
        reopened = now.run.ends > 0 and name == str(before.run.step).encode()
        assert now.steps.get(name) == record or reopened, (
            f"step {name!r} of {now.run.id} was settled again"
        )


def check(there: Content) -> dict[str, Seen]:
    """Check what can be seen in one look, and give it."""
    found = look_at(there)
    for seen in found.values():
        _check_any(seen)
        (_check_finished if seen.run.is_finished else _check_live)(seen)
    _check_shared(there, found)
    return found


def _check_shared(there: Content, found: dict[str, Seen]) -> None:
    """Nothing that lives for ever belongs to nobody."""
    keys = Keys()
    for key in (
        keys.claims,
        keys.due,
        *(key for key in there if key.startswith("stepflow:queued_at:default")),
    ):
        for member in scores(there, key):
            assert member.removeprefix("run:") in found, f"{key} holds {member}, which is not there"
    for key in (keys.live, keys.deadlines):
        for run_id in scores(there, key):
            assert run_id in found, f"{key} holds {run_id}, which is not there"
    known = {
        keys.rq_job(rq_id)
        for seen in found.values()
        for rq_id in (seen.run.delivery, seen.run.claimed_rq_id)
    }
    for key, (_, _, shortly) in there.items():
        if key.startswith("rq:job:run-"):
            assert key in known, f"{key} is left of a delivery that nobody waits for"
        if key.startswith(keys.run("")) and not shortly:
            assert key.split(":")[2] in found, f"{key} is left of a run that is gone"
    for key in (key for key in there if key.startswith("rq:scheduled:")):
        for rq_id in scores(there, key):
            assert keys.rq_job(rq_id) in known, f"{key} holds {rq_id}, which nobody waits for"


def _check_any(seen: Seen) -> None:
    run = seen.run
    closed = sorted(int(name) for name in seen.steps if name.isdigit())
    # the last one stands closed when a worker ended the run by it, and after a retry took that up
    assert closed in (list(range(run.step)), list(range(run.step + 1))), (
        f"{run.id} is at {run.step}, closed: {closed}"
    )
    assert len(closed) == run.step or run.ends, f"{run.id} is at step {run.step}, which is closed"
    assert seen.told == Counter(range(1, run.ends + 1)), (
        f"{run.id} ended {run.ends} times, told: {seen.told}"
    )


def _check_finished(seen: Seen) -> None:
    run = seen.run
    assert run.state in ("succeeded", "failed", "cancelled")
    standing = (
        run.token,
        run.claimed_rq_id,
        run.delivery,
        seen.entries,
        seen.wip,
        seen.due_at,
        seen.lease_at,
    )
    assert not any(standing), f"{run.id} has ended and {standing} stands for it"
    listed = (seen.is_live, seen.is_pending, seen.has_deadline)
    assert not any(listed), (
        f"{run.id} has ended and is listed as live, pending, with a deadline: {listed}"
    )
    assert seen.done == {run.state.value}
    assert seen.expiry == {f"{run.state}|{run.runner}|{run.id}"}
    assert all(shortly for _, _, shortly in seen.parts.values()), (
        f"{run.id} has ended and lives for ever"
    )


def _check_live(seen: Seen) -> None:
    """Each live run stands in exactly one place, and its next move comes from there."""
    run = seen.run
    assert len(movers(seen)) == 1, f"{run.id} is {run.state}, and is moved by {movers(seen)}"
    assert seen.is_live
    assert not seen.done
    assert not seen.expiry
    assert not any(shortly for _, _, shortly in seen.parts.values()), (
        f"{run.id} lives and has a time to live"
    )
    assert bool(seen.parked) == (run.state is RunState.WAITING), (
        f"{run.id} is {run.state}, parked: {seen.parked!r}"
    )
    assert bool(run.token) == (run.state is RunState.RUNNING)
    assert (seen.lease_at is not None) == bool(run.token), (
        f"{run.id} is {run.state}, its lease: {seen.lease_at}"
    )
    assert bool(run.claimed_rq_id) == bool(run.token)
    assert seen.wip <= {f"{run.claimed_rq_id}:{run.token}"}, (
        f"{run.id} is {run.state}, in progress for RQ: {seen.wip}"
    )
    assert bool(run.delivery) == (run.state not in (RunState.RUNNING, RunState.PAUSED))
    match run.state:
        case RunState.PENDING:
            assert seen.entries <= 1, (
                f"{run.id} waits for {run.delivery}, which stands in queues {seen.entries} times"
            )
            assert seen.entries or seen.is_pending, (
                f"nothing will ever find {run.id}, which waits for {run.delivery}"
            )
            assert seen.due_at is None
            return
        case RunState.SCHEDULED:
            assert run.due_at, f"{run.id} is scheduled for no time"
        case RunState.WAITING:
            assert run.due_at or seen.parked == "inbox", f"nothing ends the wait of {run.id}"
        case RunState.RUNNING | RunState.PAUSED:
            assert not run.due_at or run.state is RunState.RUNNING
            assert seen.due_at is None
    assert not seen.entries, f"{run.id} is {run.state} and {run.delivery} stands in a queue"
    assert not seen.is_pending, f"{run.id} is {run.state} and counts as waiting in its queue"
    if run.state in (RunState.SCHEDULED, RunState.WAITING):
        assert seen.due_at == (run.due_at or None), (
            f"{run.id} is due at {run.due_at}, in the set at {seen.due_at}"
        )

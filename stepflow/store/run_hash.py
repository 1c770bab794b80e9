"""
Between the run's hash in Redis and `core.run.Run`.

Names of fields, how each is written, and what cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from stepflow.core.ids import Delivery, split_runner
from stepflow.core.run import ENDS, Cleanup, Damage, Run, RunState, StopKind, StopRequest
from stepflow.store.calls import NO_HASH, Part
from stepflow.store.keys import Keys

#: unix seconds: the last day that datetime can show; a later time is none
LATEST_S = 253_402_214_400.0
#: digits of a whole number that is no accident
_DIGITS = 15
#: what can be the name of an RQ queue of ours; the scripts build keys from it
_QUEUE = re.compile(r"[A-Za-z0-9_.-]+")
#: and the name of a runner
_RUNNER = re.compile(r"[A-Za-z0-9_.:-]+")
#: how a run is called whose record does not say
UNKNOWN = "unknown"


def format_time(moment: float | None) -> str:
    """Write unix seconds as fields and scores hold them; None and 0 are empty."""
    return f"{moment:.6f}" if moment else ""


def rq_time(moment: float) -> str:
    """Write unix seconds as RQ writes times: UTC, ISO 8601, microseconds, Z."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Fields:
    """
    The fields of one hash, each read as what it should be.

    Reading never raises: what cannot be read is given its default and noted in *damage*.
    """

    __slots__ = ("damage", "row")

    def __init__(self, row: Mapping[bytes, bytes]) -> None:
        self.row = row
        self.damage: list[Damage] = [Damage()] if row is NO_HASH else []

    def note(self, name: bytes) -> None:
        """Note that a field cannot be read."""
        if self.row is not NO_HASH and all(known.field != name.decode() for known in self.damage):
            self.damage.append(Damage(name.decode(), self.row.get(name, b"")))

    def time(self, name: bytes) -> float:
        """Read unix seconds, 0 for never."""
        held = self.row.get(name)
        if not held:
            return 0.0
        try:
            moment = -1.0 if b"_" in held else float(held)
        except ValueError:
            moment = -1.0
        if 0 <= moment <= LATEST_S:  # also False for nan
            return moment
        self.note(name)
        return 0.0

    def count(self, name: bytes) -> int:
        """Read a whole number."""
        held = self.row.get(name)
        if not held:
            return 0
        if held.isdigit() and len(held) <= _DIGITS:
            return int(held)
        self.note(name)
        return 0

    def text(self, name: bytes) -> str:
        """Read text."""
        held = self.row.get(name)
        if not held:
            return ""
        try:
            return held.decode()
        except UnicodeDecodeError:
            self.note(name)
            return held.decode("utf-8", "backslashreplace")

    def stop(self, name: bytes) -> StopRequest | None:
        """Read a wish that the run end."""
        held = self.row.get(name)
        if not held:
            return None
        try:
            return read_stop(held)
        except ValueError:
            self.note(name)
            return None


def read_run(run_id: str, row: Mapping[bytes, bytes], keys: Keys) -> Run:
    """
    Read a run's hash.

    Never raises: what cannot be read stands at its default, and `damage` says so.

    A run whose state cannot be read is taken for one that stands, or that has failed if it has
    ended.
    """
    fields = Fields(row)
    count, time, text = fields.count, fields.time, fields.text
    runner, version = _runner(fields)
    queue, priority = keys.split_queue(_queue(fields, keys))
    ended_at = time(b"ended")
    state = _state(fields, has_ended=ended_at > 0)
    updated_at = time(b"updated")
    if state in ENDS and not ended_at:
        ended_at = updated_at or 1.0
    rev = count(b"rev")
    if not row.get(b"rev"):
        fields.note(b"rev")
    run = Run(
        run_id,
        runner,
        queue,
        priority,
        state,
        rev,
        count(b"generation"),
        count(b"step"),
        count(b"failures"),
        count(b"crashes"),
        count(b"handoff"),
        _delivery(fields, run_id, keys),
        time(b"due"),
        text(b"token"),
        text(b"claimed_id"),
        fields.stop(b"stop"),
        count(b"ends"),
        row.get(b"digest", b""),
        time(b"created"),
        time(b"started"),
        updated_at,
        ended_at,
        time(b"deadline"),
        time(b"unroutable"),
        count(b"inbox"),
        bool(row.get(b"journal")),
        text(b"waits_for"),
        _rest(fields),
        version,
        origin=_origin(fields),
        has_children=bool(row.get(b"children")),
    )
    if fields.damage:
        run.damage = tuple(fields.damage)
    return run


def _runner(fields: Fields) -> tuple[str, int]:
    found = _runner_in(fields.row.get(b"runner", b""))
    if found[1]:
        return found
    fields.note(b"runner")
    return found[0], 1


@lru_cache(maxsize=1024)
def _runner_in(held: bytes) -> tuple[str, int]:
    """Read a runner's key; version 0 is for one that cannot be read."""
    key = held.decode("latin-1")
    try:
        name, version = split_runner(key)
    except ValueError:
        name, version = key.partition("@")[0], 0
    return (name, version) if _RUNNER.fullmatch(name) else (UNKNOWN, 0)


def _queue(fields: Fields, keys: Keys) -> str:
    queue = _queue_in(fields.row.get(b"queue", b""))
    if queue:
        return queue
    fields.note(b"queue")
    return keys.rq_queues("default")[1]


@lru_cache(maxsize=1024)
def _queue_in(held: bytes) -> str:
    """Read the name of a queue, empty for what is none."""
    queue = held.decode("latin-1")
    return queue if _QUEUE.fullmatch(queue) else ""


@lru_cache(maxsize=64)
def _state_in(held: bytes) -> RunState | None:
    try:
        return RunState(held.decode("latin-1"))
    except ValueError:
        return None


def _state(fields: Fields, *, has_ended: bool) -> RunState:
    state = _state_in(fields.row.get(b"state", b""))
    if state is not None:
        return state
    fields.note(b"state")
    return RunState.FAILED if has_ended else RunState.PAUSED


def _delivery(fields: Fields, run_id: str, keys: Keys) -> str:
    name = fields.text(b"delivery")
    if name:
        delivery = Delivery.parse(name.removeprefix(keys.job_prefix))
        if delivery is None or delivery.run_id != run_id:
            fields.note(b"delivery")
            return ""
    return name


def _rest(fields: Fields) -> Cleanup:
    if not fields.row.get(b"cleanup"):
        return Cleanup.NONE
    try:
        return Cleanup(fields.count(b"cleanup"))
    except ValueError:
        fields.note(b"cleanup")
        return Cleanup.NONE


def _origin(fields: Fields) -> str:
    """Read where a fork comes from: its second part is a time that a workflow's clock begins at."""
    origin = fields.text(b"origin")
    if not origin:
        return ""
    try:
        if 0 <= float(origin.partition("|")[2]) <= LATEST_S:
            return origin
    except ValueError:
        pass
    fields.note(b"origin")
    return ""


def mended(run: Run, keys: Keys, now: float) -> list[Part]:
    """
    Write over the fields that could not be read, so that the record of a run that ends can be read
    from then on.
    """
    if not run.damage:
        return []
    damaged = {damage.field for damage in run.damage}
    fields: list[Part] = [part for name in damaged if name for part in (name, "")]
    if damaged & {"", "runner"}:
        fields += ("runner", run.runner_key)
    if damaged & {"", "queue"}:
        fields += ("queue", keys.queue_of(run))
    if damaged & {"", "created"}:
        fields += ("created", format_time(now))
    return fields


def write_new(run: Run, keys: Keys) -> list[Part]:
    """Write the fields of a new run; those at their default are left out, they cost memory."""
    fields: list[Part] = [
        "runner", run.runner_key, "queue", keys.queue_of(run), "state", run.state, "rev", run.rev,
        "delivery", run.delivery, "digest", run.digest, "created", format_time(run.created_at),
    ]  # fmt: skip
    if run.generation:
        fields += ("generation", run.generation)
    if run.due_at:
        fields += ("due", format_time(run.due_at))
    if run.deadline_at:
        fields += ("deadline", format_time(run.deadline_at))
    if run.origin:
        fields += ("origin", run.origin)
    if run.has_journal:
        fields += ("journal", "1")
    if run.cleanup:
        fields += ("cleanup", int(run.cleanup))
    return fields


def write_stop(stop: StopRequest) -> str:
    """Write a stop as one field."""
    return f"{stop.kind}|{stop.at:.6f}|{stop.reason}"


def read_stop(field: bytes) -> StopRequest:
    """Read a stop back; raises ValueError for what is none."""
    kind, at, reason = field.decode().split("|", 2)
    if not 0 <= float(at) <= LATEST_S:
        msg = f"{at} is no time"
        raise ValueError(msg)
    return StopRequest(StopKind(kind), reason, float(at))

"""
Between the run's hash in Redis and `core.run.Run`.

Names of fields, how each is written, and what cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from functools import lru_cache
from typing import NamedTuple

from stepflow.core.ids import Delivery, split_runner
from stepflow.core.run import (
    ENDS,
    Cleanup,
    Damage,
    PauseRequest,
    Run,
    RunState,
    StopRequest,
)
from stepflow.store.calls import NO_HASH, Part
from stepflow.store.keys import Keys
from stepflow.store.values.moments import LATEST_S, format_time, read_rq_time, rq_time
from stepflow.store.values.requests import (
    NO_PAUSE,
    read_pause,
    read_stop,
    stop_fields,
    write_pause,
    write_stop,
)

__all__ = [
    "LATEST_S",
    "NO_PAUSE",
    "UNKNOWN",
    "Field",
    "Fields",
    "format_time",
    "mended",
    "read_pause",
    "read_rq_time",
    "read_run",
    "read_stop",
    "rq_time",
    "stop_fields",
    "write_new",
    "write_pause",
    "write_stop",
]

#: what Python reads in a number and Redis does not
_UNDERSCORE = ord("_")
#: digits of a whole number that is no accident
_DIGITS = 15
#: what can be the name of an RQ queue of ours; the scripts build keys from it
_QUEUE = re.compile(r"[A-Za-z0-9_.-]+")
#: and the name of a runner
_RUNNER = re.compile(r"[A-Za-z0-9_.:-]+")
#: how a run is called whose record does not say
UNKNOWN = "unknown"


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
        written = self.row.get(name)
        if not written:
            return 0.0
        try:
            moment = -1.0 if _UNDERSCORE in written else float(written)
        except ValueError:
            moment = -1.0
        if 0 <= moment <= LATEST_S:  # also False for nan
            return moment
        self.note(name)
        return 0.0

    def count(self, name: bytes) -> int:
        """Read a whole number."""
        written = self.row.get(name)
        if not written:
            return 0
        if written.isdigit() and len(written) <= _DIGITS:
            return int(written)
        self.note(name)
        return 0

    def text(self, name: bytes) -> str:
        """Read text."""
        written = self.row.get(name)
        if not written:
            return ""
        try:
            return written.decode()
        except UnicodeDecodeError:
            self.note(name)
            return written.decode("utf-8", "backslashreplace")

    def stop(self, name: bytes) -> StopRequest | None:
        """Read a stop request."""
        written = self.row.get(name)
        if not written:
            return None
        try:
            return read_stop(written)
        except ValueError:
            self.note(name)
            return None

    def pause(self, name: bytes) -> PauseRequest | None:
        """Read a request to pause, and where the run stood that was paused by it."""
        written = self.row.get(name)
        if not written:
            return None
        try:
            return read_pause(written, self.row.get(b"stood", b""))
        except ValueError:
            self.note(name)
            return None

    def raw(self, name: bytes) -> bytes:
        """Give the bytes as they are."""
        return self.row.get(name, b"")

    def is_set(self, name: bytes) -> bool:
        """Say whether the field holds anything."""
        return bool(self.row.get(name))

    def cleanup(self, name: bytes) -> Cleanup:
        """Read what the run has left to do before a stop ends it."""
        if not self.row.get(name):
            return Cleanup.NONE
        try:
            return Cleanup(self.count(name))
        except ValueError:
            self.note(name)
            return Cleanup.NONE

    def origin(self, name: bytes) -> str:
        """Read where a fork comes from: its second part is a time, which its clock begins at."""
        if not self.row.get(name):
            return ""
        origin = self.text(name)
        try:
            if 0 <= float(origin.partition("|")[2]) <= LATEST_S:
                return origin
        except ValueError:
            pass
        self.note(name)
        return ""


class Field(NamedTuple):
    """
    One attribute of a run: its field in the hash, and how that is read and written.

    *kind* names the method of `Fields` that reads it. With *is_new* a new run may have it; one that
    is at its default is not written, for it costs memory.
    """

    attribute: str
    name: str
    kind: str
    is_new: bool = False


#: what a run's hash holds beside its runner, queue, state and delivery
_FIELDS = (
    Field("rev", "rev", "count", is_new=True),
    Field("generation", "generation", "count", is_new=True),
    Field("step", "step", "count"),
    Field("failures", "failures", "count"),
    Field("crashes", "crashes", "count"),
    Field("handoff", "handoff", "count"),
    Field("due_at", "due", "time", is_new=True),
    Field("token", "token", "text"),
    Field("claimed_rq_id", "claimed_id", "text"),
    Field("stop", "stop", "stop"),
    Field("ends", "ends", "count"),
    Field("digest", "digest", "raw", is_new=True),
    Field("created_at", "created", "time", is_new=True),
    Field("started_at", "started", "time"),
    Field("updated_at", "updated", "time"),
    Field("ended_at", "ended", "time"),
    Field("deadline_at", "deadline", "time", is_new=True),
    Field("unroutable_since", "unroutable", "time"),
    Field("inbox", "inbox", "count"),
    Field("has_journal", "journal", "is_set", is_new=True),
    Field("waits_for", "waits_for", "text"),
    Field("parked", "parked", "text"),
    Field("pause", "pause", "pause"),
    Field("cleanup", "cleanup", "cleanup", is_new=True),
    Field("origin", "origin", "origin", is_new=True),
    Field("has_children", "children", "is_set"),
    Field("stopped_by", "stop_by", "text"),
    Field("limits", "limits", "text", is_new=True),
    Field("held", "held", "text"),
    Field("has_asks", "asks", "is_set"),
    Field("has_output", "out", "is_set"),
    Field("ends_at_timeout", "hard_end", "is_set", is_new=True),
    Field("is_cleared", "cleared", "is_set"),
    Field("is_to_archive", "to_archive", "is_set"),
    Field("has_tags", "tagged", "is_set", is_new=True),
    Field("schedule", "sched", "text", is_new=True),
    Field("group", "group", "text", is_new=True),
    Field("lane", "lane", "text", is_new=True),
    Field("once", "once", "text", is_new=True),
)
#: what is not written as the run has it
_WRITERS: dict[str, Callable[[float], Part]] = {"time": format_time, "is_set": int, "cleanup": int}
_NEW = [
    (field.attribute, field.name, _WRITERS.get(field.kind)) for field in _FIELDS if field.is_new
]
#: attributes that a submit chooses for a run, apart from its runner, its place and its times
CHOSEN = tuple(
    field.attribute
    for field in _FIELDS
    if field.is_new
    and field.kind in {"text", "is_set"}
    and field.attribute not in {"group", "schedule"}
)
#: attributes that more than one field decides, or that are not in the hash
_OTHERS = ("id", "runner", "version", "queue", "priority", "state", "delivery")


def _make_builder() -> Callable[..., Run]:
    """
    Write the function that builds a run out of its fields and *_OTHERS*, as the table has them.

    A claim reads a run for each step, and a loop over the table takes a third longer. Most fields
    are not there: for each of those a look into the row is enough.
    """
    nothing = Fields({})
    absent = {f"no_{field.kind}": getattr(nothing, field.kind)(b"") for field in _FIELDS}
    sources = {name: name for name in _OTHERS}
    for attribute, name, kind, _ in _FIELDS:
        sources[attribute] = f"fields.{kind}(b'{name}') if b'{name}' in row else no_{kind}"
    order = [sources[known.name] for known in dataclass_fields(Run) if known.name != "damage"]
    text = f"lambda fields, row, {', '.join(_OTHERS)}: Run({', '.join(order)})"
    builder: Callable[..., Run] = eval(text, {"Run": Run, **absent})  # noqa: S307  made of the table
    return builder


_build = _make_builder()


def read_run(run_id: str, row: Mapping[bytes, bytes], keys: Keys) -> Run:
    """
    Read a run's hash.

    Never raises: what cannot be read stands at its default, and `damage` says so. A run whose state
    cannot be read counts as one that stands, or as one that has failed if it has ended.
    """
    fields = Fields(row)
    runner, version = _runner(fields)
    queue, priority = keys.split_queue(_queue(fields, keys))
    state, delivery = _state_in(row.get(b"state", b"")), _delivery(fields, run_id, keys)
    run = _build(fields, row, run_id, runner, version, queue, priority, state, delivery)
    if state is None:
        fields.note(b"state")
        run.state = RunState.FAILED if run.ended_at else RunState.PAUSED
    if run.state in ENDS and not run.ended_at:
        run.ended_at = run.updated_at or 1.0
    if not row.get(b"rev"):
        fields.note(b"rev")
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
def _runner_in(written: bytes) -> tuple[str, int]:
    """Read a runner's key; version 0 is for one that cannot be read."""
    key = written.decode("latin-1")
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
    return keys.queue_name("default")


@lru_cache(maxsize=1024)
def _queue_in(written: bytes) -> str:
    """Read the name of a queue, empty for what is none."""
    queue = written.decode("latin-1")
    return queue if _QUEUE.fullmatch(queue) else ""


@lru_cache(maxsize=64)
def _state_in(written: bytes) -> RunState | None:
    try:
        return RunState(written.decode("latin-1"))
    except ValueError:
        return None


def _delivery(fields: Fields, run_id: str, keys: Keys) -> str:
    name = fields.text(b"delivery")
    if name:
        delivery = Delivery.parse(name.removeprefix(keys.job_prefix))
        if delivery is None or delivery.run_id != run_id:
            fields.note(b"delivery")
            return ""
    return name


def mended(run: Run, keys: Keys, now: float) -> list[Part]:
    """Write over what could not be read, so that the record of a run that ends can be read."""
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
        "runner", run.runner_key, "queue", keys.queue_of(run), "state", run.state, "delivery",
        run.delivery,
    ]  # fmt: skip
    for attribute, name, write in _NEW:
        value = getattr(run, attribute)
        if value:
            fields += (name, write(value) if write else value)
    return fields

"""A schedule's record: one hash, and a list of its last times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from stepflow.core.run import Damage
from stepflow.core.schedules.state import Firing, SchedulePause, ScheduleState
from stepflow.errors import UnreadableValue
from stepflow.store.calls import Part
from stepflow.store.run_hash import LATEST_S, Fields, format_time
from stepflow.store.values.codec import pack, unpack

#: lines of the history that are kept
KEPT = 50


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """
    A schedule as kept.

    *spec* is what was put, packed; *times* are those that an operator set instead, packed, empty
    for none. *app* is the version of the app whose code declares it, empty for one put by hand.
    *is_kept* says that it fires whether or not a worker declares it. *wakes* says that the end of
    its run makes it due. Times are unix seconds.
    """

    id: str
    spec: bytes
    state: ScheduleState
    rev: int = 1
    times: bytes = b""
    app: str = ""
    is_kept: bool = True
    wakes: bool = False
    due_at: float = 0.0
    created_at: float = 0.0
    updated_at: float = 0.0
    #: the fields that could not be read
    damage: tuple[Damage, ...] = ()

    def fields(self) -> list[Part]:
        """Write it as the fields of its hash."""
        state = self.state
        return [
            "rev", self.rev, "spec", self.spec, "times", self.times, "app", self.app, "kept",
            int(self.is_kept), "wakes", int(self.wakes), "due", format_time(self.due_at),
            "created", format_time(self.created_at), "updated", format_time(self.updated_at),
            "through", format_time(state.through), "last", state.last_run, "last_nominal",
            format_time(state.last_nominal), "runs", state.runs, "buffer",
            " ".join(f"{nominal:.0f}" for nominal in state.buffer), "pause",
            _write_pause(state.pause), "judged", state.judged, "blocked",
            format_time(state.blocked_since), "ended", format_time(state.ended_at),
        ]  # fmt: skip


def read_schedule(schedule_id: str, row: Mapping[bytes, bytes]) -> ScheduleRecord:
    """Read a schedule's hash. Never raises: what cannot be read is named in `damage`."""
    fields = Fields(row)
    text, count, time = fields.text, fields.count, fields.time
    if not row.get(b"spec"):
        fields.note(b"spec")
    state = ScheduleState(
        through=time(b"through"), last_run=text(b"last"), last_nominal=time(b"last_nominal"),
        runs=count(b"runs"), buffer=_buffer(fields), pause=_pause(fields), judged=text(b"judged"),
        blocked_since=time(b"blocked"), ended_at=time(b"ended"),
    )  # fmt: skip
    return ScheduleRecord(
        schedule_id, row.get(b"spec", b""), state, rev=count(b"rev"), times=row.get(b"times", b""),
        app=text(b"app"), is_kept=count(b"kept") == 1, wakes=count(b"wakes") == 1,
        due_at=time(b"due"), created_at=time(b"created"), updated_at=time(b"updated"),
        damage=tuple(fields.damage),
    )  # fmt: skip


def write_firing(firing: Firing) -> bytes:
    """Write a line of the history."""
    return pack(
        [firing.nominal, firing.at, firing.run_id, firing.left, firing.count], in_clear=True
    )


def read_firing(line: bytes) -> Firing | None:
    """Read a line of the history back; None for what is none."""
    try:
        nominal, at, run_id, left, count = unpack(line)
        return Firing(float(nominal), float(at), str(run_id), str(left), int(count))
    except (UnreadableValue, TypeError, ValueError):
        return None


def _write_pause(pause: SchedulePause | None) -> str:
    if pause is None:
        return ""
    return f"{pause.at:.6f}|{quote(pause.by, safe='@. ')}|{pause.note}"


def _pause(fields: Fields) -> SchedulePause | None:
    written = fields.text(b"pause")
    if not written:
        return None
    at, by, note = [*written.split("|", 2), "", ""][:3]
    try:
        moment = float(at)
    except ValueError:
        moment = -1.0
    if not 0 <= moment <= LATEST_S:
        fields.note(b"pause")
        return SchedulePause("", "its pause cannot be read", 0.0)
    return SchedulePause(unquote(by), note, moment)


def _buffer(fields: Fields) -> tuple[float, ...]:
    words = fields.text(b"buffer").split()
    if all(word.isdigit() and float(word) <= LATEST_S for word in words):
        return tuple(float(word) for word in words)
    fields.note(b"buffer")
    return ()

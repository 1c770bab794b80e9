"""Requests to stop and to pause, as fields of a run hold them."""

from __future__ import annotations

from urllib.parse import quote, unquote

from stepflow.core.run import PauseRequest, RunState, Standing, StopKind, StopRequest
from stepflow.store.calls import Part
from stepflow.store.values.moments import LATEST_S, format_time


def stop_fields(stop: StopRequest) -> list[Part]:
    """Write a stop into the record: what is asked for, and who asked where that is known."""
    return ["stop", write_stop(stop), *(("stop_by", stop.by) if stop.by else ())]


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


def write_pause(pause: PauseRequest) -> list[Part]:
    """Write a request to pause, and where the run stood, as the fields of a run."""
    stood = pause.stood
    return [
        "pause", f"{pause.at:.6f}|{quote(pause.by, safe='@. ')}|{pause.reason}", "stood",
        "" if stood is None
        else f"{stood.state}|{stood.parked}|{stood.inbox}|{format_time(stood.due_at)}",
    ]  # fmt: skip


#: what takes a request to pause out of a run's record
NO_PAUSE: list[Part] = ["pause", "", "stood", ""]


def read_pause(field: bytes, stood: bytes) -> PauseRequest:
    """Read a request to pause back; raises ValueError for what is none."""
    at, by, reason = field.decode().split("|", 2)
    if not 0 <= float(at) <= LATEST_S:
        msg = f"{at} is no time"
        raise ValueError(msg)
    return PauseRequest(unquote(by), reason, float(at), _read_standing(stood.decode()))


def _read_standing(written: str) -> Standing | None:
    if not written:
        return None
    state, parked, inbox, due = written.split("|")
    return Standing(RunState(state), parked, float(due or 0), int(inbox))

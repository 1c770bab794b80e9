"""Calls by which steps get slots of limits, wait in line for them, and give them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stepflow.core.limits.slot import StepSlot
from stepflow.core.limits.use import label_of, split_limited, write_key, write_uses
from stepflow.core.outcomes import Resting
from stepflow.core.run import Cleanup, Run
from stepflow.store import scripts
from stepflow.store.calls import Call, Part
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time, rq_time

#: seconds after which a step that waits asks again, should nobody have woken it, and how far apart
#: those in one line do
GRACE_S, GAP_S = 30.0, 0.1


class InLine(NamedTuple):
    """No room now: when to ask again, and for which limit the step waits."""

    again_at: float
    #: how much was ever put into the run's inbox
    inbox: int
    label: str


class Overdue(NamedTuple):
    """It has waited for longer than the limit allows, in seconds, and waits no longer."""

    label: str
    wait_s: float


#: what an ask is answered with: it begins (True), waits, or has waited too long; it came too late,
#: and is to be made anew (False); the claim is another worker's (None)
Answer = bool | InLine | Overdue | None


def waits_for(label: str) -> str:
    """Say in a run's record that it waits for a limit."""
    return f"limit {label}"


def take_slots(
    keys: Keys,
    run: Run,
    token: str,
    slot: StepSlot,
    *,
    name: str,
    said: Mapping[str, str],
    first_since: float | None,
    takes_place: bool,
    given: str,
) -> Call[Answer]:
    """
    Ask for the slots that *slot* is to have; a step that may not begin stands in line.

    *said* is what the code says of its limits. One with *first_since* goes before all others. With
    *takes_place* it takes over the place that another step of its run has left from an earlier
    claim.
    """
    base = keys.run(run.id)
    return scripts.TAKE_SLOTS.call(
        _read_answer,
        keys={"run": base, "asks": f"{base}:asks", "limits": keys.limits},
        args={
            "given": given, "ns": keys.namespace, "prefix": keys.job_prefix, "run_id": run.id,
            "token": token, "step": slot.step, "name": name, "uses": write_uses(slot.uses),
            "number": slot.number, "first": format_time(first_since),
            "takes_place": "1" if takes_place else "", "grace_s": GRACE_S, "gap_s": GAP_S,
        },
        lists={"said": [part for each in said.items() for part in each]},
    )  # fmt: skip


def _read_answer(reply: Any) -> Answer:
    match reply:
        case [1]:
            return True
        case [0, again_at, inbox, limited]:
            return InLine(float(again_at), int(inbox), _label(limited))
        case [4, limited, wait_s]:
            return Overdue(_label(limited), float(wait_s))
        case [3]:
            return False
    return None


def _label(limited: bytes) -> str:
    return label_of(*split_limited(limited.decode()))


def leave_slots(
    keys: Keys,
    run: Run,
    token: str,
    slots: Sequence[StepSlot],
    rests: Sequence[Resting] = (),
    places: Sequence[str] = (),
    *,
    given: str,
    now: float,
) -> Call[bool]:
    """
    Give back what steps have, or take them out of line, and have limits rest.

    *places* are steps that stand in line since an earlier claim, or have parts that do. False when
    the claim is another's.
    """
    return scripts.LEAVE_SLOTS.call(
        bool,
        keys={"run": keys.run(run.id)},
        args={
            "given": given, "ns": keys.namespace, "prefix": keys.job_prefix,
            "rq_time": rq_time(now), "run_id": run.id, "token": token,
        },
        lists={"steps": _written(slots), "places": places, "rests": _resting(rests)},
    )  # fmt: skip


def add_entry_limited(
    keys: Keys,
    run: Run,
    token: str,
    index: int,
    entry: bytes,
    cleanup: Cleanup | None,
    *,
    slots: Sequence[StepSlot],
    rests: Sequence[Resting],
    given: str,
    now: float,
) -> Call[int]:
    """Do what `store.journal.add_entry` does, give back *slots*, and have limits rest."""
    base = keys.run(run.id)
    return scripts.ADD_ENTRY_LIMITED.call(
        int,
        keys={"run": base, "journal": f"{base}:journal"},
        args={
            "token": token, "index": index, "entry": entry,
            "cleanup": "" if cleanup is None else int(cleanup), "given": given,
            "ns": keys.namespace, "prefix": keys.job_prefix, "rq_time": rq_time(now),
            "run_id": run.id,
        },
        lists={
            "steps": _written(slots), "rests": _resting(rests),
        },
    )  # fmt: skip


def _written(slots: Sequence[StepSlot]) -> list[Part]:
    return [part for slot in slots for part in slot.written()]


def _resting(rests: Sequence[Resting]) -> list[Part]:
    return [
        part
        for rest in rests
        for part in (rest.limit, write_key(rest.key or ""), format_time(rest.until))
    ]

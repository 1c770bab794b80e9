"""Signals: something said to a run from outside, kept in its mailbox until it asks; and the resuming of a paused run."""

from __future__ import annotations

import re
from typing import Any

from stepflow.core.run import RunState
from stepflow.core.transition import Transition
from stepflow.engine.desk import Desk
from stepflow.errors import InvalidName, MailboxFull, NotResumable, RunNotFound, SignalRefused
from stepflow.store.calls import Plan
from stepflow.store.codec import pack
from stepflow.store.journal import MAILBOX, send_signal
from stepflow.store.runs import STALE, Proof, hand_over, load_run

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def check_signal(name: str) -> str:
    """Give the name of a signal back if it can be one, else raise InvalidName."""
    if _NAME.fullmatch(name):
        return name
    raise InvalidName("signal", name, "use 1 to 100 letters, digits, '_', '.', ':' or '-'")


def signal(run_id: str, name: str, payload: Any, dedup: str | None, desk: Desk) -> Plan[str]:
    """
    Put a signal into the run's mailbox; gives "delivered" when the run was waiting or running, else "buffered".

    The same *dedup* again is answered as the first time and changes nothing. Raises RunNotFound, SignalRefused for a
    run that has ended, MailboxFull.
    """
    check_signal(name)
    item = f"{name}|".encode() + pack(payload, what=f"signal {name!r}", limit=desk.settings.limits.payload_bytes)
    signal_id = f"d:{dedup}" if dedup is not None else f"r:{desk.request_id()}"
    answer = "moved"
    while answer == "moved":
        run = yield load_run(desk.keys, run_id)
        if run is None:
            raise RunNotFound(run_id)
        answer = yield send_signal(desk.keys, run, signal_id, item, now=desk.clock.now())
    match answer:
        case "unknown":
            raise RunNotFound(run_id)
        case "ended":
            raise SignalRefused(run_id, name)
        case "full":
            raise MailboxFull(run_id, MAILBOX)
    return answer


def resume(run_id: str, desk: Desk) -> Plan[None]:
    """Hand over a paused run again; raises RunNotFound, NotResumable."""
    request = desk.request_id()
    while True:
        run = yield load_run(desk.keys, run_id)
        if run is None:
            raise RunNotFound(run_id)
        if run.state is not RunState.PAUSED:
            raise NotResumable(run_id, run.state)
        move = Transition.resume(run)
        answer = yield hand_over(
            desk.keys, run, Proof("", request), state=move.state, step=move.step, failures=0, crashes=0, due_at=None,
            now=desk.clock.now(),
        )  # fmt: skip
        if answer[0] != STALE:
            return

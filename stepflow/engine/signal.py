"""Signals, which a run keeps in its mailbox until it takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stepflow.core.ids import check_text
from stepflow.core.run import RunState
from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.engine.user_code.schema import misfit
from stepflow.errors import (
    InvalidName,
    MailboxFull,
    RunNotFound,
    SignalMisfit,
    SignalRefused,
    StepflowError,
)
from stepflow.store.calls import batch
from stepflow.store.journal import MAILBOX, load_expected, load_sent, send_signal
from stepflow.store.runs import load_run
from stepflow.store.values.codec import pack, unpack

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def check_signal(name: object) -> str:
    """Give the name of a signal back if it can be one, else raise InvalidName."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidName("signal", name, "use 1 to 100 letters, digits, '_', '.', ':' or '-'")


async def signal(run_id: str, name: str, payload: Any, dedup: str | None, env: Env) -> str:
    """
    Put a signal into the run's mailbox.

    Gives "delivered" when the run was waiting or running, else "buffered".

    The same *dedup* again is answered as the first time and changes nothing, while it is among the
    newest 10,000 of the run. Raises RunNotFound, SignalRefused for a run that has ended,
    SignalMisfit where the run is parked on this signal and waits for something else, MailboxFull.
    """
    check_signal(name)
    packed = pack(payload, what=f"signal {name!r}", limit=env.settings.limits.payload_bytes)
    item = f"{name}|".encode() + packed
    signal_id = f"r:{env.request_id()}" if dedup is None else f"d:{check_text('dedup', dedup)}"
    answer = "moved"
    while answer == "moved":
        run, expected = await batch(load_run(env.keys, run_id), load_expected(env.keys, run_id))
        if run is None:
            raise RunNotFound(run_id)
        check_readable(run)
        if run.state is RunState.WAITING and expected:
            problem = _misfit(unpack(packed), _schemas(expected, name))
            if problem is not None:
                before = await load_sent(env.keys, run_id, signal_id)
                if before is None:
                    raise SignalMisfit(run_id, name, problem)
                return str(before.decode())
        answer = await send_signal(
            env.keys,
            run,
            signal_id,
            item,
            now=env.clock.now(),
            most_bytes=env.settings.limits.mailbox_bytes,
        )
    match answer:
        case "unknown":
            raise RunNotFound(run_id)
        case "ended":
            raise SignalRefused(run_id, name)
        case "full":
            raise MailboxFull(run_id, MAILBOX)
        case "heavy":
            raise MailboxFull(run_id, env.settings.limits.mailbox_bytes, of_bytes=True)
    return answer


def _schemas(expected: bytes, name: str) -> Sequence[Mapping[str, Any]]:
    """Read the schemas that signals of a name must fit; unreadable ones demand nothing."""
    try:
        schemas = unpack(expected).get(name, ())
    except (StepflowError, AttributeError):
        return ()
    return (
        schemas
        if isinstance(schemas, list | tuple) and all(isinstance(one, dict) for one in schemas)
        else ()
    )


def _misfit(payload: Any, schemas: Sequence[Mapping[str, Any]]) -> str | None:
    """
    Say in words how the payload does not fit the first of *schemas* that it misses.

    None when it fits all, for any of the waits may take it.
    """
    problems = (misfit(payload, schema) for schema in schemas)
    return next((problem for problem in problems if problem is not None), None)

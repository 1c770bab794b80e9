"""Signals, which a run keeps in its mailbox until it takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from stepflow.core.ids import check_text
from stepflow.core.run import Run, RunState
from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.engine.spec import RunSpec
from stepflow.engine.submit import Prepared, begin_again, prepare
from stepflow.engine.user_code.schema import misfit
from stepflow.errors import (
    InvalidName,
    InvalidOption,
    LimitFull,
    MailboxFull,
    RunConflict,
    RunNotFound,
    SignalMisfit,
    SignalRefused,
    StepflowError,
    shown,
)
from stepflow.store.calls import batch
from stepflow.store.journal import (
    MAILBOX,
    STARTED,
    load_expected,
    load_sent,
    send_signal,
    signal_start,
)
from stepflow.store.runs import Full, load_run
from stepflow.store.values.codec import pack, unpack

#: which signals of a name stay in the mailbox: all, or the one that was sent last
Keep = Literal["all", "latest"]

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def check_signal(name: object) -> str:
    """Give the name of a signal back if it can be one, else raise InvalidName."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidName("signal", name, "use 1 to 100 letters, digits, '_', '.', ':' or '-'")


def check_keep(keep: object) -> None:
    """Raise InvalidOption for what is not a way to keep signals."""
    if keep not in ("all", "latest"):
        msg = f"keep is {shown(keep)}; it is 'all' or 'latest'"
        raise InvalidOption(msg)


async def signal(
    run_id: str, name: str, payload: Any, dedup: str | None, env: Env, *, keep: Keep = "all"
) -> str:
    """
    Put a signal into the run's mailbox.

    Gives "delivered" when the run was waiting or running, else "buffered". With *keep* "latest" it
    takes the place of those of its name that the run has not taken.

    The same *dedup* again is answered as the first time and changes nothing, while it is among the
    newest 10,000 of the run. Raises RunNotFound, SignalRefused for a run that has ended,
    SignalMisfit where the run is parked on this signal and waits for something else, MailboxFull.
    """
    letter = _write(name, payload, dedup, env, keep=keep)
    answer = "moved"
    while answer == "moved":
        run, expected = await batch(load_run(env.keys, run_id), load_expected(env.keys, run_id))
        if run is None:
            raise RunNotFound(run_id)
        answer = await _send(run, expected, letter, env)
    match answer:
        case "unknown":
            raise RunNotFound(run_id)
        case "ended":
            raise SignalRefused(run_id, name)
    return answer


async def signal_or_start(
    spec: RunSpec, name: str, payload: Any, dedup: str | None, env: Env, *, keep: Keep = "all"
) -> str:
    """
    Put a signal into the mailbox of the run that *spec* names, which is made if there is none.

    Gives "started" when it was made, in one write with the signal, else what `signal` gives. An
    ended run is made again where *spec* says restart. A live one takes the signal whatever its
    input is. Raises what `submit` and `signal` raise, RunConflict where the run is another
    runner's.
    """
    letter = _write(name, payload, dedup, env, keep=keep)
    prepared, run_id = prepare(spec, env), str(spec.run_id)
    while True:
        run, expected, before = await batch(
            load_run(env.keys, run_id),
            load_expected(env.keys, run_id),
            load_sent(env.keys, run_id, letter.signal_id),
        )
        if run is not None and run.runner != spec.runner and not run.damage:
            raise RunConflict(run_id, "runner", run.state)
        if run is None or (run.is_finished and spec.on_conflict == "restart"):
            if before is not None:  # by the ended run: the same signal does not start another
                return str(before.decode())
            if await _start(prepared, spec, letter, run, env):
                return STARTED
            continue
        answer = await _send(run, expected, letter, env)
        if answer == "ended" and spec.on_conflict != "restart":
            raise SignalRefused(run_id, name)
        if answer not in ("moved", "unknown", "ended"):
            return answer


class _Letter(NamedTuple):
    """A signal as it is sent; *replaces*: how the items begin whose place it takes, or nothing."""

    name: str
    signal_id: str
    item: bytes
    packed: bytes
    replaces: bytes


def _write(name: str, payload: Any, dedup: str | None, env: Env, *, keep: Keep) -> _Letter:
    check_signal(name)
    check_keep(keep)
    packed = pack(payload, what=f"signal {name!r}", limit=env.settings.limits.payload_bytes)
    head = f"{name}|".encode()
    signal_id = f"r:{env.request_id()}" if dedup is None else f"d:{check_text('dedup', dedup)}"
    return _Letter(name, signal_id, head + packed, packed, head if keep == "latest" else b"")


async def _start(
    prepared: Prepared, spec: RunSpec, letter: _Letter, ended: Run | None, env: Env
) -> bool:
    """Make the run with the signal in its mailbox; False where somebody was faster."""
    if ended is not None:
        begin_again(prepared.run, spec, ended, env)
    there = await signal_start(
        env.keys, prepared.run, letter.signal_id, letter.item, request=prepared.request,
        data=prepared.data, tags=prepared.tags, replaces=ended,
    )  # fmt: skip
    if isinstance(there, Full):
        raise LimitFull(*there)
    return there is None


async def _send(run: Run, expected: bytes | None, letter: _Letter, env: Env) -> str:
    """
    Send a signal to the run as it was found.

    Gives the answer; "moved", "unknown" or "ended" where the run is not as it was.
    """
    check_readable(run)
    if run.state is RunState.WAITING and expected:
        problem = _misfit(unpack(letter.packed), expected_schemas(expected).get(letter.name, ()))
        if problem is not None:
            before = await load_sent(env.keys, run.id, letter.signal_id)
            if before is None:
                raise SignalMisfit(run.id, letter.name, problem)
            return str(before.decode())
    limits = env.settings.limits
    answer = await send_signal(
        env.keys, run, letter.signal_id, letter.item, now=env.clock.now(),
        most_bytes=limits.mailbox_bytes, replaces=letter.replaces,
    )  # fmt: skip
    if answer == "full":
        raise MailboxFull(run.id, MAILBOX)
    if answer == "heavy":
        raise MailboxFull(run.id, limits.mailbox_bytes, of_bytes=True)
    return answer


def expected_schemas(expected: bytes) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Read by name the schemas that signals must fit; unreadable ones demand nothing."""
    try:
        found = unpack(expected)
    except StepflowError:
        return {}
    return {
        name: schemas
        for name, schemas in (found.items() if isinstance(found, dict) else ())
        if isinstance(schemas, list | tuple) and all(isinstance(one, dict) for one in schemas)
    }


def _misfit(payload: Any, schemas: Sequence[Mapping[str, Any]]) -> str | None:
    """
    Say in words how the payload does not fit the first of *schemas* that it misses.

    None when it fits all, for any of the waits may take it.
    """
    problems = (misfit(payload, schema) for schema in schemas)
    return next((problem for problem in problems if problem is not None), None)

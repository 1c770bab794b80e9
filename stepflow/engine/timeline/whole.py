"""whole: all that is kept of a run, as parts of one document that may be larger than memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from stepflow.core.run import Run
from stepflow.core.step_record import Attempt
from stepflow.engine.children import map_answers
from stepflow.engine.env import Env
from stepflow.engine.events.output import id_after
from stepflow.engine.gate import check_readable
from stepflow.engine.history import show_answers, show_data, show_entry, show_head
from stepflow.engine.inspect import attempts
from stepflow.engine.kept import KeptData
from stepflow.engine.timeline.beside import POINTS
from stepflow.errors import RunNotFound, StepflowError
from stepflow.store.calls import batch
from stepflow.store.events.output import StreamEntry, load_output
from stepflow.store.events.records import load_entries
from stepflow.store.journal import MAILBOX, load_long_mail, load_mail
from stepflow.store.runs import load_data, load_row, load_run
from stepflow.store.values.codec import pack
from stepflow.store.variables import load_vars, read_var

#: fields of a document; a list may come in several parts, the later of which go on with it
Part = dict[str, Any]
#: journal entries, step records or items of output in one part
PAGE = 100
#: what of the record is of use to its worker alone
_UNTOLD = frozenset({b"token"})


async def whole(run_id: str, env: Env) -> AsyncGenerator[Part]:
    """
    Give a run's history, and then what else is kept of it; raises RunNotFound.

    The parts are read one after the other: those of a live run are of different moments.
    """
    run, data, row = await batch(
        load_run(env.keys, run_id), load_data(env.keys, run_id), load_row(env.keys, run_id)
    )
    if run is None:
        raise RunNotFound(run_id)
    check_readable(run)
    yield show_head(run, data)
    yield {"tags": dict(KeptData(data, run).tags()), "record": _texts(row)}
    async for part in _journal(run, env):
        yield part
    records = await attempts(run_id, env)
    for start in range(0, len(records), PAGE):
        yield {"steps": [_show_attempt(each) for each in records[start : start + PAGE]]}
    kept = await load_vars(env.keys, run_id)
    yield {"vars": {_text(name): _show_var(held) for name, held in sorted(kept.items())}}
    yield {"mailbox": await _mailbox(run_id, env)}
    async for part in _output(run_id, env):
        yield part


async def _journal(run: Run, env: Env) -> AsyncGenerator[Part]:
    """Give the journal, which every history has, and how the children of settled maps ended."""
    answers: dict[str, bytes] = {}
    first = 0
    while True:
        entries = await load_entries(env.keys, run.id, first, PAGE)
        yield {"journal": [show_entry(entry) for entry in entries]}
        answers |= await map_answers(run, entries, env)
        first += len(entries)
        if len(entries) < PAGE:
            break
    if answers:
        yield {"answers": show_answers(answers)}


async def _mailbox(run_id: str, env: Env) -> list[dict[str, Any]]:
    """Show the signals that were not taken yet, the oldest first, long payloads as well."""
    items = [item.partition(b"|") for item in await load_mail(env.keys, run_id, MAILBOX)]
    ids = [_text(rest[1:]) for _, _, rest in items if rest.startswith(POINTS)]
    apart = iter(await load_long_mail(env.keys, run_id, ids) if ids else ())
    return [
        show_data(name + sign + ((next(apart) or b"") if rest.startswith(POINTS) else rest))
        for name, sign, rest in items
    ]


async def _output(run_id: str, env: Env) -> AsyncGenerator[Part]:
    first = "-"
    while entries := await load_output(env.keys, run_id, first, PAGE):
        yield {"output": [_show_item(entry) for entry in entries]}
        first = id_after(entries[-1].id)


def _show_item(entry: StreamEntry) -> dict[str, Any]:
    """Show an item as the stream has it; one without data voids those of its scope before it."""
    names = {b"t": "topic", b"s": "scope", b"a": "attempt"}
    facts = {shown: _text(entry.fields[name]) for name, shown in names.items()
             if name in entry.fields}  # fmt: skip
    if b"d" not in entry.fields:
        return {"id": entry.id, "reset": True, **facts}
    return {"id": entry.id, **facts, **show_data(entry.fields[b"d"])}


def _show_attempt(attempt: Attempt) -> dict[str, Any]:
    record = attempt.record
    facts = {
        "number": attempt.number, "attempt": record.attempt, "is_closed": attempt.is_closed,
        "outcome": record.outcome, "worker": record.worker, "started_at": record.started_at,
        "ended_at": record.ended_at, "due_at": record.due_at or None,
        "error": record.error or None,
    }  # fmt: skip
    return {name: fact for name, fact in facts.items() if fact is not None}


def _show_var(written: bytes) -> dict[str, Any]:
    try:
        return show_data(pack(read_var(written), in_clear=True))
    except StepflowError:
        return show_data(written)


def _texts(row: Mapping[bytes, bytes]) -> dict[str, str]:
    return {_text(name): _text(held) for name, held in row.items() if name not in _UNTOLD}


def _text(held: bytes) -> str:
    return held.decode("utf-8", "backslashreplace")

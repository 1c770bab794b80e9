"""whole: all that is kept of a run, as parts of one document that may be larger than memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from stepflow.core.run import Run
from stepflow.engine.children import map_answers
from stepflow.engine.env import Env
from stepflow.engine.events.output import id_after
from stepflow.engine.gate import check_readable
from stepflow.engine.history import show_answers, show_entry
from stepflow.engine.inspect import attempts
from stepflow.engine.timeline.beside import POINTS
from stepflow.engine.timeline.prompts import prompts_in, restarts_in
from stepflow.engine.timeline.shown import (
    Part,
    show_attempt,
    show_item,
    show_mailbox,
    show_record,
    show_vars,
    text,
)
from stepflow.errors import RunNotFound
from stepflow.store.calls import batch
from stepflow.store.events.output import StreamEntry, load_output
from stepflow.store.events.records import load_entries
from stepflow.store.journal import MAILBOX, load_long_mail, load_mail
from stepflow.store.runs import load_data, load_row, load_run
from stepflow.store.variables import load_vars

#: journal entries, step records or items of output in one part
PAGE = 100


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
    yield show_record(run, data, row)
    async for part in _journal(run, env):
        yield part
    records = await attempts(run_id, env)
    for start in range(0, len(records), PAGE):
        yield {"steps": [show_attempt(each) for each in records[start : start + PAGE]]}
    yield {"vars": show_vars(await load_vars(env.keys, run_id))}
    mail, apart = await load_mailbox(run_id, env)
    yield {"mailbox": show_mailbox(mail, apart)}
    async for entries in output_pages(run_id, env):
        yield {"output": [show_item(entry) for entry in entries]}


async def _journal(run: Run, env: Env) -> AsyncGenerator[Part]:
    """Give the journal, which every history has, and how the children of settled maps ended."""
    answers: dict[str, bytes] = {}
    prompts: dict[str, bytes] = {}
    restarts = first = 0
    while True:
        entries = await load_entries(env.keys, run.id, first, PAGE)
        yield {"journal": [show_entry(entry) for entry in entries]}
        answers |= await map_answers(run, entries, env)
        restarts = restarts if first else restarts_in(entries)
        prompts |= await prompts_in(run, entries, env, restarts)
        first += len(entries)
        if len(entries) < PAGE:
            break
    if answers:
        yield {"answers": show_answers(answers)}
    if prompts:
        yield {"prompts": show_answers(prompts)}


async def load_mailbox(run_id: str, env: Env) -> tuple[list[bytes], list[bytes | None]]:
    """Read the signals that were not taken yet, the oldest first, and long payloads apart."""
    items = await load_mail(env.keys, run_id, MAILBOX)
    parted = [item.partition(b"|") for item in items]
    ids = [text(rest[1:]) for _, _, rest in parted if rest.startswith(POINTS)]
    return items, await load_long_mail(env.keys, run_id, ids) if ids else []


async def output_pages(run_id: str, env: Env) -> AsyncGenerator[list[StreamEntry]]:
    """Read what a run has emitted, page by page."""
    first = "-"
    while entries := await load_output(env.keys, run_id, first, PAGE):
        yield entries
        first = id_after(entries[-1].id)

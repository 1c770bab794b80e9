"""All that is kept of a run, read in one look, and what is made of that: a document, a timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stepflow.core.run import Run
from stepflow.core.step_record import Attempts
from stepflow.engine.children import map_answers
from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.engine.history import show_answers, show_entry, show_kv
from stepflow.engine.timeline.model import Timeline
from stepflow.engine.timeline.prompts import prompts_in
from stepflow.engine.timeline.read import timeline_of, trace_of
from stepflow.engine.timeline.shown import (
    Part,
    show_attempt,
    show_item,
    show_mailbox,
    show_record,
    show_vars,
)
from stepflow.engine.timeline.whole import load_mailbox, output_pages
from stepflow.errors import RunNotFound
from stepflow.store.calls import batch
from stepflow.store.events.output import StreamEntry
from stepflow.store.events.records import load_entries
from stepflow.store.run_hash import read_run
from stepflow.store.runs import load_data, load_row, load_steps
from stepflow.store.runs.load import count_beside, load_rev
from stepflow.store.variables import load_all_kv, load_vars


@dataclass(slots=True)
class Kept:
    """What Redis keeps of a run, as it was read."""

    run: Run
    row: Mapping[bytes, bytes]
    data: Mapping[bytes, bytes]
    attempts: Attempts
    #: whether it did not change while it was read
    is_at_rest: bool
    journal: Sequence[bytes] = ()
    answers: Mapping[str, bytes] = field(default_factory=dict)
    prompts: Mapping[str, bytes] = field(default_factory=dict)
    vars: Mapping[bytes, bytes] = field(default_factory=dict)
    kv: Mapping[bytes, bytes] = field(default_factory=dict)
    mail: Sequence[bytes] = ()
    mail_apart: Sequence[bytes | None] = ()
    output: Sequence[StreamEntry] = ()

    @property
    def size(self) -> int:
        """How many bytes the values have that may be large."""
        hashes = (self.data, self.vars, self.kv)
        return sum(map(len, self.journal)) + sum(
            len(value) for each in hashes for value in each.values()
        )


async def read_kept(run_id: str, env: Env) -> Kept:
    """
    Read a run with all that it has; raises RunNotFound, and UnreadableRecord.

    One round trip for a run without a journal, output, signals and values.
    """
    keys = env.keys
    row, data, records, beside, rev = await batch(
        load_row(keys, run_id), load_data(keys, run_id), load_steps(keys, run_id),
        count_beside(keys, run_id), load_rev(keys, run_id),
    )  # fmt: skip
    if not row:
        raise RunNotFound(run_id)
    run = read_run(run_id, row, keys)
    check_readable(run)
    kept = Kept(run, row, data, Attempts(records), is_at_rest=rev == row.get(b"rev"))
    if beside:
        await _read_beside(kept, env)
    return kept


async def _read_beside(kept: Kept, env: Env) -> None:
    """Read what few runs have besides their record."""
    keys, run = env.keys, kept.run
    entries, values, written = await batch(
        load_entries(keys, run.id, 0), load_vars(keys, run.id), load_all_kv(keys, run.id)
    )
    kept.journal, kept.vars, kept.kv = entries, values, written
    kept.answers = await map_answers(run, kept.journal, env)
    kept.prompts = await prompts_in(run, kept.journal, env)
    kept.mail, kept.mail_apart = await load_mailbox(run.id, env)
    kept.output = [entry async for page in output_pages(run.id, env) for entry in page]
    kept.is_at_rest = await load_rev(keys, run.id) == kept.row.get(b"rev")


def show_kept(kept: Kept) -> Part:
    """Show it as one document, as `whole` does in parts, and the values of effects."""
    shown = show_record(kept.run, kept.data, kept.row)
    shown["journal"] = [show_entry(entry) for entry in kept.journal]
    if kept.answers:
        shown["answers"] = show_answers(kept.answers)
    if kept.prompts:
        shown["prompts"] = show_answers(kept.prompts)
    shown["steps"] = [show_attempt(each) for each in kept.attempts]
    shown["vars"] = show_vars(kept.vars)
    shown["mailbox"] = show_mailbox(kept.mail, kept.mail_apart)
    if kept.output:
        shown["output"] = [show_item(entry) for entry in kept.output]
    shown["kv"] = show_kv(kept.kv)
    return shown


async def timeline_of_kept(kept: Kept, env: Env) -> Timeline:
    """Give the steps of a run that was read; children whose end it has not taken are looked up."""
    return timeline_of(await trace_of(kept.run, kept.data, kept.journal, kept.attempts, env))

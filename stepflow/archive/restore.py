"""A run is restored from a document: as a fork, which begins with all that the run remembered."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stepflow.core.ids import Delivery, check_run_id, new_run_id
from stepflow.core.journal import before_end, last_failure
from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.engine.fork import forked
from stepflow.engine.gate import check_readable
from stepflow.engine.history import read_data, read_history
from stepflow.engine.signal import signal
from stepflow.engine.submit import Submitted
from stepflow.engine.timeline.prompts import prompt_fields
from stepflow.errors import MailboxFull, RunConflict, StepflowError, UnreadableHistory
from stepflow.store.calls import Part
from stepflow.store.fork import STAGED, stage_run, submit_fork
from stepflow.store.run_hash import read_run
from stepflow.store.runs import load_data
from stepflow.store.values.codec import unpack
from stepflow.store.values.digest import digest
from stepflow.store.values.in_clear import seal_data, seal_entry
from stepflow.store.values.offloaded import share_with
from stepflow.store.variables import write_var

#: stands behind the last entry that is laid out: whoever takes them sees that they are all there
_LAST = b"last"


@dataclass(frozen=True, slots=True)
class _Restored:
    """What a document says of a run, as Redis keeps it."""

    source: Run
    payload: bytes
    spec: bytes
    tags: Sequence[str]
    journal: Sequence[bytes]
    answers: Sequence[Part]
    variables: Sequence[Part]
    kv: Sequence[Part]
    mail: Sequence[bytes]
    #: what its settled questions asked, by place
    prompts: Mapping[str, bytes]


async def restore(
    document: Mapping[str, Any], label: str, env: Env, *, new_id: str | None = None
) -> Submitted:
    """
    Make a run that goes on where the run of *document* stood; that one is not touched.

    What ended it is forgotten, as for a retry. *label* names the document: the same restore under
    the same *new_id* finds the same run. Raises UnreadableHistory for a document that is none, and
    RunConflict when anything else has the id.
    """
    new_id = (
        new_run_id(env.clock.now(), secrets.randbits(80))
        if new_id is None
        else check_run_id(new_id)
    )
    read, request = _read(document, env), env.request_id()
    told = [each for each in read.answers if isinstance(each, bytes)]
    share_with(new_id, [*read.journal, read.payload, *told])
    staged = replace(read.source, id=f"restoring-{request}")
    await _lay_out(staged, read, env)
    run = _made(read, new_id, env)
    mark = f"{read.source.id}.{read.source.generation}|{label}".encode()
    data: list[Part] = ["forked", mark, "payload", read.payload]
    row = await submit_fork(
        env.keys, run, staged, len(read.journal), _LAST, request=request,
        data=[*data, "spec", read.spec] if read.spec else data, tags=read.tags, with_kv=True,
        prompts=prompt_fields(run, read.journal, read.prompts),
    )  # fmt: skip
    if row is not None:
        there = await load_data(env.keys, new_id)
        if there.get(b"forked") != mark:
            raise RunConflict(new_id, "origin", row.get(b"state", b"there").decode())
        return Submitted(new_id, created=False)
    await _send(new_id, label, read.mail, env)
    return Submitted(new_id, created=True)


def _made(read: _Restored, new_id: str, env: Env) -> Run:
    """Make the record of the new run: a workflow replays, a runner goes on at its step."""
    run = forked(read.source, new_id, env, logged=bool(read.journal))
    if not read.source.has_journal:
        run.step = read.source.step
        run.delivery = env.keys.rq_id(Delivery(new_id, run.step, 0))
    run.digest = read.source.digest or digest(run.runner, unpack(read.payload))
    run.pause, run.held, run.has_output, run.is_cleared = None, "", False, False
    run.stopped_by = ""
    return run


async def _lay_out(staged: Run, read: _Restored, env: Env) -> None:
    """Lay out what the run remembered, in parts."""
    entries = [*read.journal, _LAST]
    await stage_run(
        env.keys, staged, 0, entries[:STAGED],
        answers=read.answers, variables=read.variables, kv=read.kv,
    )  # fmt: skip
    for first in range(STAGED, len(entries), STAGED):
        await stage_run(env.keys, staged, first, entries[first : first + STAGED])


async def _send(run_id: str, label: str, mail: Sequence[bytes], env: Env) -> None:
    """Put the signals that the run had not taken into the new mailbox, each once."""
    for number, item in enumerate(mail):
        name, _, packed = item.partition(b"|")
        try:
            await signal(run_id, name.decode(), unpack(packed), f"{label}-{number}", env)
        except MailboxFull:
            raise
        except StepflowError:
            return  # it has ended already


def _read(document: Mapping[str, Any], env: Env) -> _Restored:
    """Read a document; raises UnreadableHistory for what is none, or lacks the record."""
    known = read_history(document)
    try:
        row = {name.encode(): held.encode() for name, held in document["record"].items()}
        source = check_readable(read_run(known.run.id, row, env.keys))
        journal = before_end(known.journal)
        failed = set(last_failure(journal))
        return _Restored(
            source, seal_data(read_data(document["input"])), read_data(document.get("options", {})),
            [f"{name}={value}" for name, value in document.get("tags", {}).items()],
            [seal_entry(entry) for entry in journal if entry not in failed],
            list(_pairs((child, seal_data(answer)) for child, answer in known.answers.items())),
            list(_pairs(_variables(document.get("vars", {})))),
            list(_pairs((key, seal_data(at)) for key, at in _shown(document.get("kv", {})))),
            [read_data(item) for item in document.get("mailbox", ())],
            {at: seal_data(asked) for at, asked in _shown(document.get("prompts", {}))},
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, StepflowError) as error:
        raise UnreadableHistory(f"{type(error).__name__}: {error}") from None


def _pairs(items: Iterable[tuple[str, bytes]]) -> Iterator[Part]:
    for name, held in items:
        yield name
        yield held


def _shown(fields: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for name, part in fields.items():
        yield name, read_data(part)


def _variables(fields: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for name, packed in _shown(fields):
        yield name, write_var(unpack(packed), what=f"variable {name!r}", limit=len(packed) + 64)

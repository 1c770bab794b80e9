"""Calls for forks: a run that begins with what another one remembers."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.run import Run
from stepflow.store.calls import Call, Part
from stepflow.store.family_update import family_keys
from stepflow.store.keys import Keys
from stepflow.store.runs import submit_run

#: the kinds of entries with which the end of a run begins; a fork that remembered one would only
#: end as well
_ENDINGS = (b"stop", b"undo")
#: how the entry begins that a restarted run's history begins with: no step
_START = b"start|"


def before_its_end(journal: Sequence[bytes]) -> Sequence[bytes]:
    """
    Give what a journal remembers up to where the run was asked to stop, or began to undo what it
    had done.
    """
    ends = (index for index, entry in enumerate(journal) if entry.split(b"|", 1)[0] in _ENDINGS)
    return journal[: next(ends, len(journal))]


def find_step(journal: Sequence[bytes], step: str) -> int | None:
    """
    Give the index of the first entry of a step, by its name, its place or its key.

    None when there is none.
    """
    wanted = step.encode()
    heads = [entry.split(b"|", 3)[1:3] for entry in journal]
    if journal and journal[0].startswith(_START):
        heads[0] = [b"", b""]
    for index, (_, name) in enumerate(heads):
        if name == wanted:
            return index
    return next(
        (index for index, (place, _) in enumerate(heads) if place in {wanted, b"key:" + wanted}),
        None,
    )


def step_names(journal: Sequence[bytes]) -> list[str]:
    """Name the steps of a journal, each once, in order."""
    entries = (entry for entry in journal if not entry.startswith(_START))
    return list(dict.fromkeys(entry.split(b"|", 3)[2].decode() for entry in entries))


def submit_fork(
    keys: Keys,
    run: Run,
    source: Run,
    entries: int,
    following: bytes,
    *,
    request: str,
    data: Sequence[Part],
) -> Call[dict[bytes, bytes] | None]:
    """
    Make *run* with the first *entries* of the journal of *source*, of which *following* is the
    next.

    It is told all that the children of *source* have told that. Answers as `submit_run`, or with no
    fields at all when that journal is not so any more.
    """
    call = submit_run(keys, run, request=request, data=data)
    _, told, _ = family_keys(keys, source.id, source.generation)
    _, own, _ = family_keys(keys, run.id, run.generation)
    base = keys.run(source.id)
    origin = (f"{base}:journal", told, own, f"{base}:vars")
    return Call(call.script, (*call.keys, *origin), (*call.args, entries, following), call.read)

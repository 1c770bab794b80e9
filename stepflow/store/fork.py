"""Calls for forks: a run that begins with what another one remembers."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, Part
from stepflow.store.family_update import children_keys
from stepflow.store.keys import Keys
from stepflow.store.runs import read_submit, submission

#: the kinds of entries with which the end of a run begins; a fork that remembered one would only
#: end as well
_ENDINGS = (b"stop", b"undo")
#: how the entry begins that a restarted run's history begins with: no step
_START = b"start|"

#: what a script that makes a run is given of the source of a fork
_SOURCE_KEYS = scripts.Group("runs/submit_run", "source_keys")
_FORK = scripts.Group("runs/submit_run", "fork")


def before_its_end(journal: Sequence[bytes]) -> Sequence[bytes]:
    """
    Give what a journal remembers from before its run began to end.

    That is where it was asked to stop, or began to undo what it had done.
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
    Make *run* with the first *entries* of the journal of *source*.

    *following* is the entry after them there. The fork knows how all children of *source* ended
    that have. Answers as `submit_run`, or with no fields at all when that journal is not so any
    more.
    """
    made = submission(keys, run, request=request, data=data)
    base = keys.run(source.id)
    _, source_answers, _ = children_keys(keys, source.id, source.generation)
    _, answers, _ = children_keys(keys, run.id, run.generation)
    origin = {
        "source_journal": f"{base}:journal",
        "source_answers": source_answers,
        "answers": answers,
        "source_variables": f"{base}:vars",
    }
    fork: dict[str, Part] = {"entries": entries, "following": following}
    return scripts.SUBMIT_RUN.call(
        read_submit,
        keys=made.keys,
        args=made.args,
        lists={**made.lists, "fork": _FORK.order(fork)},
        key_lists={"source": _SOURCE_KEYS.order(origin)},
    )

"""Calls for forks: a run that begins with what another one remembers."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, Part
from stepflow.store.family_update import children_keys
from stepflow.store.keys import Keys
from stepflow.store.runs import read_submit, submission

#: what a script that makes a run is given of the source of a fork
_SOURCE_KEYS = scripts.Group("runs/submit_run", "source_keys")
_FORK = scripts.Group("runs/submit_run", "fork")


def submit_fork(
    keys: Keys,
    run: Run,
    source: Run,
    entries: int,
    following: bytes,
    *,
    request: str,
    data: Sequence[Part],
    tags: Sequence[str] = (),
) -> Call[dict[bytes, bytes] | None]:
    """
    Make *run* with the first *entries* of the journal of *source*.

    *following* is the entry after them there. The fork knows how all children of *source* ended
    that have. Answers as `submit_run`, or with no fields at all when that journal is not so any
    more.
    """
    made = submission(keys, run, request=request, data=data, tags=tags)
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
        key_lists={**made.key_lists, "source": _SOURCE_KEYS.order(origin)},
    )

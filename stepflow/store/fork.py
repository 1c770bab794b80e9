"""Calls for forks: a run that begins with what another one remembers."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.run import Run
from stepflow.store.calls import Call, Part
from stepflow.store.family_update import family_keys
from stepflow.store.keys import Keys
from stepflow.store.runs import submit_run


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

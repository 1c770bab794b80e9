"""Calls for forks: a run that begins with what another one remembers."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, raw
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
    prompts: Sequence[Part] = (),
    with_kv: bool = False,
) -> Call[dict[bytes, bytes] | None]:
    """
    Make *run* with the first *entries* of the journal of *source*.

    *following* is the entry after them there. The fork knows how all children of *source* ended
    that have, and *with_kv* what the effects of the source have written. *prompts* are what its
    settled questions asked, as field, value, field, value ... Answers as `submit_run`, or with no
    fields at all when that journal is not so any more.
    """
    made = submission(keys, run, request=request, data=data, tags=tags)
    base, own = keys.run(source.id), keys.run(run.id)
    _, source_answers, _ = children_keys(keys, source.id, source.generation)
    _, answers, _ = children_keys(keys, run.id, run.generation)
    origin = {
        "source_journal": f"{base}:journal",
        "source_answers": source_answers,
        "source_variables": f"{base}:vars",
        "source_kv": f"{base if with_kv else own}:kv",
        "journal": f"{own}:journal",
        "answers": answers,
        "variables": f"{own}:vars",
        "kv": f"{own}:kv",
        "replies": f"{own}:replies",
    }
    fork: dict[str, Part] = {"entries": entries, "following": following}
    return scripts.SUBMIT_RUN.call(
        read_submit,
        keys=made.keys,
        args=made.args,
        lists={
            **made.lists,
            "fields": (*made.lists["fields"], *(("step", run.step) if run.step else ())),
            "fork": (*_FORK.order(fork), *prompts),
        },
        key_lists={**made.key_lists, "source": _SOURCE_KEYS.order(origin)},
    )


#: seconds that what is laid out for a restore is kept
STAGED_S = 600
#: entries or fields that are laid out in one call
STAGED = 500


def stage_run(
    keys: Keys,
    run: Run,
    first: int,
    entries: Sequence[bytes],
    *,
    answers: Sequence[Part] = (),
    variables: Sequence[Part] = (),
    kv: Sequence[Part] = (),
) -> Call[int]:
    """
    Lay out what *run* remembered, from entry *first* of its journal on, as the source of a fork.

    The rest is given as field, value, field, value ... Gives 1 laid out, 0 for a second arrival.
    """
    base = keys.run(run.id)
    return scripts.STAGE_RUN.call(
        raw,
        keys={
            "journal": f"{base}:journal", "variables": f"{base}:vars", "kv": f"{base}:kv",
            "answers": children_keys(keys, run.id, run.generation)[1],
        },
        args={"first": first, "ttl_s": STAGED_S},
        lists={"entries": entries, "answers": answers, "variables": variables, "kv": kv},
    )  # fmt: skip

"""What was asked by questions that are settled: kept by place, so that it goes on in forks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stepflow.core.ids import question_digest
from stepflow.core.journal import MISREAD, Entry, EntryKind
from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.store.calls import Part
from stepflow.store.questions import load_prompts

#: questions of a run that a fork or a document of it names: the newest ones
MOST = 1000


async def prompts_at(run: Run, places: Iterable[str], restarts: int, env: Env) -> dict[str, bytes]:
    """Read what the settled questions at *places* asked, packed, as far as it was kept."""
    asked = {place: question_digest(run.id, run.generation, restarts, place) for place in places}
    if not asked:
        return {}
    kept = await load_prompts(env.keys, run.id, list(asked.values()))
    return {place: packed for place, packed in zip(asked, kept, strict=True) if packed}


async def prompts_in(
    run: Run, journal: Sequence[bytes], env: Env, restarts: int | None = None
) -> dict[str, bytes]:
    """
    Read what the settled questions of a run's *journal* asked, packed, by place.

    *restarts* is given for a part of a journal, whose first entry does not say it.
    """
    places = _settled(journal)[-MOST:]
    if restarts is None:
        restarts = restarts_in(journal)
    return await prompts_at(run, places, restarts, env)


def prompt_fields(run: Run, journal: Sequence[bytes], prompts: Mapping[str, bytes]) -> list[Part]:
    """Give what *run*, which begins with *journal*, keeps of *prompts*: field, value, ..."""
    restarts = restarts_in(journal)
    fields: list[Part] = []
    for place in [place for place in _settled(journal) if place in prompts][-MOST:]:
        digest = question_digest(run.id, run.generation, restarts, place)
        fields += (f"{digest}?", prompts[place])
    return fields


def restarts_in(journal: Sequence[bytes]) -> int:
    """Say how often the run of a journal has continued as new."""
    first = _read(journal[0]) if journal else None
    if first is None or first.kind is not EntryKind.START or not first.name.isdecimal():
        return 0
    return int(first.name)


def _settled(journal: Sequence[bytes]) -> list[str]:
    answer = EntryKind.ANSWER.value.encode() + b"|"
    entries = [_read(written) for written in journal if written.startswith(answer)]
    return [entry.place for entry in entries if entry is not None]


def _read(written: bytes) -> Entry | None:
    try:
        return Entry.read(written)
    except MISREAD:
        return None

"""Asks: what runs ask people, each with a token by which it is answered, once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.engine.user_code.schema import misfit
from stepflow.errors import AnswerMisfit, QuestionClosed, QuestionNotFound, StepflowError
from stepflow.store.calls import batch, batch_of
from stepflow.store.questions import (
    QuestionOutcome,
    answer_question,
    asking,
    load_mark,
    load_question,
    load_questions,
)
from stepflow.store.runs import load_run
from stepflow.store.values.codec import pack, unpack
from stepflow.times import as_datetime, in_words

#: runs looked at in one round trip of a listing
PAGE = 100

ANSWERED = "answered"
#: "<run id>.<digest of the place>"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}\.[0-9a-f]{20}")


@dataclass(frozen=True, slots=True)
class Question:
    """
    What a run asks: *token* answers it, *schema* (JSON) says what an answer is.

    *until* is None without a timeout.
    """

    token: str
    run_id: str
    prompt: str
    schema: Mapping[str, Any]
    asked_at: datetime | None
    until: datetime | None


async def questions(env: Env, *, limit: int) -> list[Question]:
    """
    List what is asked and not answered yet, at most *limit*, the runs first that have asked for
    longest.
    """
    found: list[Question] = []
    first = 0
    while len(found) < limit:
        run_ids = await asking(env.keys, first, PAGE)
        if not run_ids:
            break
        first += PAGE
        for run_id, asked in zip(
            run_ids,
            (await batch_of([load_questions(env.keys, run_id) for run_id in run_ids])),
            strict=True,
        ):
            mine = [
                _read(run_id, digest.decode("utf-8", "replace"), packed)
                for digest, packed in asked.items()
                if digest
            ]
            found += sorted(mine, key=lambda ask: (ask.asked_at is not None, ask.asked_at))
    return found[:limit]


def _read(run_id: str, digest: str, packed: bytes) -> Question:
    """Read an ask; one that cannot be read is listed, in words, and takes any answer."""
    try:
        prompt, schema, asked_at, until = unpack(packed)
        times = as_datetime(float(asked_at)), as_datetime(float(until))
        return Question(f"{run_id}.{digest}", run_id, str(prompt), dict(schema), *times)
    except (StepflowError, ValueError, TypeError, OverflowError, OSError) as error:
        return Question(
            f"{run_id}.{digest}", run_id, f"<what it asks cannot be read: {error}>", {}, None, None
        )


async def answer(token: str, value: Any, env: Env) -> None:
    """
    Answer what was asked under *token*, once.

    Raises QuestionNotFound, QuestionClosed when it was answered before or is wanted no more,
    AnswerMisfit, nothing written then.
    """
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise QuestionNotFound(token)
    run_id, _, digest = token.rpartition(".")
    packed = pack(value, what="the answer", limit=env.settings.limits.payload_bytes)
    run, asked, mark = await batch(
        load_run(env.keys, run_id),
        load_question(env.keys, run_id, digest),
        load_mark(env.keys, run_id, digest),
    )
    if mark is not None:
        raise _settled(token, mark)
    if run is None or asked is None or run.is_finished:
        raise QuestionNotFound(token)
    check_readable(run)
    problem = misfit(unpack(packed), _read(run_id, digest, asked).schema)
    if problem is not None:
        raise AnswerMisfit(token, problem)
    now = env.clock.now()
    mine = QuestionOutcome(ANSWERED, now, env.request_id())
    mark = await answer_question(env.keys, run, digest, packed, mark=mine, now=now)
    if mark is None:
        raise QuestionNotFound(token)
    if mark.request != mine.request:
        raise _settled(token, mark)


def _settled(token: str, mark: QuestionOutcome) -> QuestionClosed:
    return QuestionClosed(token, mark.word, in_words(mark.at))

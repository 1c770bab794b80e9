"""Questions that runs ask people, each with a token by which it is answered, once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepflow.core.ids import check_count
from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.engine.user_code.schema import misfit
from stepflow.engine.user_code.schema.examples import example_of
from stepflow.errors import AnswerMisfit, QuestionClosed, QuestionNotFound, StepflowError
from stepflow.shell import to_type
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
    A question that a run asks people.

    *token* answers it, *schema* is the JSON schema of an answer, *until* is None without a timeout.
    """

    token: str
    run_id: str
    prompt: str
    schema: Mapping[str, Any]
    asked_at: datetime | None
    until: datetime | None

    @property
    def answering(self) -> str:
        """What to type to answer it, with an example."""
        return to_type("answer", self.token, example_of(self.schema) or "JSON")


async def questions(env: Env, *, limit: int) -> list[Question]:
    """
    List the open questions, at most *limit*.

    Those of the runs that have waited longest come first.
    """
    found: list[Question] = []
    first = 0
    check_count("limit", limit)
    while len(found) < limit:
        run_ids = await asking(env.keys, first, PAGE)
        if not run_ids:
            break
        first += PAGE
        rows = await batch_of([load_questions(env.keys, run_id) for run_id in run_ids])
        for run_id, row in zip(run_ids, rows, strict=True):
            found += _of_run(run_id, row)
    return found[:limit]


async def questions_of(run_id: str, env: Env) -> list[Question]:
    """List the open questions of a run, the oldest first."""
    return _of_run(run_id, await load_questions(env.keys, run_id))


def _of_run(run_id: str, row: Mapping[bytes, bytes]) -> list[Question]:
    found = [
        read_question(run_id, digest.decode("utf-8", "replace"), packed)
        for digest, packed in row.items()
        if digest
    ]
    return sorted(found, key=lambda each: (each.asked_at is not None, each.asked_at))


def read_question(run_id: str, digest: str, packed: bytes) -> Question:
    """Read a question; one that cannot be read says so as its prompt, and takes any answer."""
    token = f"{run_id}.{digest}"
    try:
        prompt, schema, asked_at, until = unpack(packed)
        return Question(
            token,
            run_id,
            prompt=str(prompt),
            schema=dict(schema),
            asked_at=as_datetime(float(asked_at)),
            until=as_datetime(float(until)),
        )
    except (StepflowError, ValueError, TypeError, OverflowError, OSError) as error:
        prompt = f"<what it asks cannot be read: {error}>"
        return Question(token, run_id, prompt=prompt, schema={}, asked_at=None, until=None)


async def answer(token: str, value: Any, env: Env) -> None:
    """
    Answer the question of *token*, once.

    Raises QuestionNotFound, QuestionClosed when it was answered before or its run waits for the
    answer no more, AnswerMisfit when the answer does not fit its schema; nothing is written then.
    """
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise QuestionNotFound(token)
    run_id, _, digest = token.rpartition(".")
    packed = pack(value, what="the answer", limit=env.settings.limits.payload_bytes)
    run, question, mark = await batch(
        load_run(env.keys, run_id),
        load_question(env.keys, run_id, digest),
        load_mark(env.keys, run_id, digest),
    )
    if mark is not None:
        raise _closed(token, mark)
    if run is None or question is None or run.is_finished:
        raise QuestionNotFound(token)
    check_readable(run)
    problem = misfit(unpack(packed), read_question(run_id, digest, question).schema)
    if problem is not None:
        raise AnswerMisfit(token, problem)
    now = env.clock.now()
    mine = QuestionOutcome(ANSWERED, now, env.request_id())
    mark = await answer_question(env.keys, run, digest, packed, mark=mine, now=now)
    if mark is None:
        raise QuestionNotFound(token)
    if mark.request != mine.request:
        raise _closed(token, mark)


def _closed(token: str, mark: QuestionOutcome) -> QuestionClosed:
    return QuestionClosed(token, mark.word, in_words(mark.at))

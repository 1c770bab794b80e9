"""Calls for what runs ask people: put on the list, answered once, taken off again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, command, load_hash, raw
from stepflow.store.keys import Keys
from stepflow.store.run_hash import LATEST_S, format_time
from stepflow.store.wake import wake


@dataclass(frozen=True, slots=True)
class QuestionOutcome:
    """What became of a question: a *word*, when (unix seconds), and by which request."""

    word: str
    at: float
    request: str = ""

    def write(self) -> str:
        """Write it as Redis keeps it."""
        return f"{self.word}|{self.at:.6f}|{self.request}"

    @classmethod
    def read(cls, written: bytes) -> QuestionOutcome:
        """Read one back; all that is known of one that cannot be read is that it is settled."""
        try:
            word, at, request = written.decode().split("|", 2)
            return cls(word, float(at) if 0 <= float(at) <= LATEST_S else 0.0, request)
        except ValueError:
            return cls("settled", 0.0)


def settle_question(
    keys: Keys,
    run_id: str,
    token: str,
    index: int,
    head: bytes,
    *,
    digest: str,
    asked: bytes,
    prompt: bytes,
    now: float,
    lapsed: QuestionOutcome | None = None,
) -> Call[list[int | bytes]]:
    """
    Look for the answer to a question and remember it as entry *index*.

    Gives [inbox, data], [inbox] while it is open, [] refused. *lapsed* is the outcome of one whose
    time is up: that is remembered, unless it was answered before. *prompt* is kept with what became
    of it.
    """
    base = keys.run(run_id)
    return scripts.SETTLE_QUESTION.call(
        raw,
        keys={
            "run": base,
            "journal": f"{base}:journal",
            "questions": f"{base}:questions",
            "replies": f"{base}:replies",
            "questions_index": keys.questions,
        },
        args={
            "token": token,
            "index": index,
            "head": head,
            "digest": digest,
            "question": asked,
            "prompt": prompt,
            "run_id": run_id,
            "now": format_time(now),
            "lapsed": "" if lapsed is None else lapsed.write(),
        },
    )


def close_questions(
    keys: Keys, run_id: str, token: str, *, digests: Sequence[str], mark: QuestionOutcome
) -> Call[int]:
    """
    Take questions off the list.

    Gives how many stood there; 0 when the claim is not the caller's.
    """
    base = keys.run(run_id)
    return scripts.CLOSE_QUESTIONS.call(
        raw,
        keys={
            "run": base,
            "questions": f"{base}:questions",
            "replies": f"{base}:replies",
            "questions_index": keys.questions,
        },
        args={"token": token, "outcome": mark.write(), "run_id": run_id},
        lists={"digests": digests},
    )


def answer_question(
    keys: Keys, run: Run, digest: str, packed: bytes, *, mark: QuestionOutcome, now: float
) -> Call[QuestionOutcome | None]:
    """
    Answer a question of *run*.

    Gives what became of it, *mark* itself when this call did it, None when there is no such
    question.
    """
    base, delivery = keys.run(run.id), wake(keys, run, now)
    return scripts.ANSWER_QUESTION.call(
        lambda reply: QuestionOutcome.read(reply) if reply else None,
        keys={
            "questions": f"{base}:questions",
            "replies": f"{base}:replies",
            "questions_index": keys.questions,
            **delivery.keys,
        },
        args={
            "digest": digest,
            "outcome": mark.write(),
            "answer": packed,
            "run_id": run.id,
            **delivery.args,
        },
    )


def load_question(keys: Keys, run_id: str, digest: str) -> Call[bytes | None]:
    """Read what is asked, packed; None when it is not on the list."""
    return command("HGET", f"{keys.run(run_id)}:questions", digest, read=raw, misfit=lambda: None)


def load_mark(keys: Keys, run_id: str, digest: str) -> Call[QuestionOutcome | None]:
    """Read what became of a question; None while it is open, or when there is none."""
    return command(
        "HGET", f"{keys.run(run_id)}:replies", digest,
        read=lambda reply: QuestionOutcome.read(reply) if reply else None, misfit=lambda: None,
    )  # fmt: skip


def load_prompts(keys: Keys, run_id: str, digests: Sequence[str]) -> Call[list[bytes | None]]:
    """Read what was asked by questions that are settled, packed; None for one that is not known."""
    fields = [f"{digest}?" for digest in digests]
    return command(
        "HMGET", f"{keys.run(run_id)}:replies", *fields, read=raw,
        misfit=lambda: [None] * len(fields),
    )  # fmt: skip


def load_questions(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read what a run asks: digest -> packed."""
    return load_hash(f"{keys.run(run_id)}:questions")


def asking(keys: Keys, first: int, count: int) -> Call[Sequence[str]]:
    """Name runs that ask something, those first that have asked for longest."""
    last = first + count - 1
    return command(
        "ZRANGE",
        keys.questions,
        first,
        last,
        misfit=list,
        read=lambda reply: [member.decode("utf-8", "backslashreplace") for member in reply],
    )

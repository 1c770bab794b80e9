"""Calls for what runs ask people: put on the list, answered once, taken off again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepflow.core.ids import run_member
from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, command, load_hash, raw
from stepflow.store.channel import ChannelMessage
from stepflow.store.keys import Keys
from stepflow.store.run_hash import LATEST_S, format_time, rq_time


@dataclass(frozen=True, slots=True)
class QuestionOutcome:
    """What became of an ask: a *word*, when (unix seconds), and by which request."""

    word: str
    at: float
    request: str = ""

    def write(self) -> str:
        """Write the mark."""
        return f"{self.word}|{self.at:.6f}|{self.request}"

    @classmethod
    def read(cls, written: bytes) -> QuestionOutcome:
        """Read a mark; of one that cannot be read is known that the ask is settled."""
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
    now: float,
    lapsed: QuestionOutcome | None = None,
) -> Call[Any]:
    """
    Look for the answer to an ask and remember it as entry *index*: [inbox, data], [inbox] while it
    is open, [] refused.

    *lapsed* is the mark of one whose time is up: it is remembered as that, unless it was answered
    before.
    """
    base = keys.run(run_id)
    return Call(
        scripts.SETTLE_QUESTION,
        (base, f"{base}:journal", f"{base}:questions", f"{base}:replies", keys.questions),
        (
            token,
            index,
            head,
            digest,
            asked,
            run_id,
            format_time(now),
            "" if lapsed is None else lapsed.write(),
        ),
        raw,
    )


def close_question(
    keys: Keys, run_id: str, token: str, *, digest: str, mark: QuestionOutcome
) -> Call[int]:
    """
    Take an ask off the list: 1, or 0 when it stood there no more or the claim is not the caller's.
    """
    base = keys.run(run_id)
    return Call(
        scripts.CLOSE_QUESTION,
        (base, f"{base}:questions", f"{base}:replies", keys.questions),
        (token, digest, mark.write(), run_id),
        raw,
    )


def answer_question(
    keys: Keys, run: Run, digest: str, packed: bytes, *, mark: QuestionOutcome, now: float
) -> Call[QuestionOutcome | None]:
    """
    Answer an ask of *run*.

    Gives the mark of what became of it, *mark* itself when this did it, None for no such ask.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    return Call(
        scripts.ANSWER_QUESTION,
        (
            base, f"{base}:questions", f"{base}:replies", keys.questions, keys.rq_list(queue),
            keys.queued_at(queue), keys.wake_of(run.queue), keys.due, keys.rq_scheduled(queue),
        ),
        (
            digest, mark.write(), packed, run.id, run_member(run.id), format_time(now), rq_time(now),
            keys.namespace, queue, RunState.PENDING, keys.tell_channel(""), ChannelMessage(run.id).write(),
        ),
        lambda reply: QuestionOutcome.read(reply) if reply else None,
    )  # fmt: skip


def load_question(keys: Keys, run_id: str, digest: str) -> Call[bytes | None]:
    """Read what is asked, packed; None when it is not on the list."""
    return command("HGET", f"{keys.run(run_id)}:questions", digest, read=raw, misfit=lambda: None)


def load_mark(keys: Keys, run_id: str, digest: str) -> Call[QuestionOutcome | None]:
    """Read what became of an ask; None while it is open, or when there is none."""
    return command(
        "HGET", f"{keys.run(run_id)}:replies", digest,
        read=lambda reply: QuestionOutcome.read(reply) if reply else None, misfit=lambda: None,
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

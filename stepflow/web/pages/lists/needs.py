"""What needs attention, whatever it is, as lines of one list."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from stepflow.client import HookInfo
from stepflow.core.run import RunStatus
from stepflow.engine.inspect import WorkerInfo
from stepflow.engine.questions import Question
from stepflow.engine.stats import FailureGroup
from stepflow.engine.versions.runners import RunnerInfo
from stepflow.shell import to_type
from stepflow.web.pages.lists.failures import Group, message_of
from stepflow.web.pages.lists.queues import QueueRow
from stepflow.web.pages.lists.rows import Row
from stepflow.web.pages.visit import Visit

T = TypeVar("T")
K = TypeVar("K")

#: how many of each kind are looked at
LOOKED_AT = 100
#: how long ago what failed counts as failing
LATELY = timedelta(hours=24)
#: what the lines of workers, queues and runners say already
_SAID = {
    "queued.no_worker", "queued.paused", "queued.unhealthy", "blocked.runner", "blocked.version",
}  # fmt: skip
#: of several in a line, how many say their text
_TEXTS = 3


@dataclass(frozen=True, slots=True)
class Need:
    """
    One thing that needs attention, or *count* of a kind: *since* is the oldest.

    *word* and *icon* say of what kind it is, *tone* how bad: bad, warn, or ask. *url* leads to
    where it is mended, *command* mends it in a terminal.
    """

    word: str
    icon: str
    tone: str
    what: str
    detail: str
    url: str
    count: int = 1
    since: datetime | None = None
    command: str = ""
    #: whether there may be more than were looked at
    has_more: bool = False


def of_workers(workers: Sequence[WorkerInfo], visit: Visit) -> Iterator[Need]:
    """Say that there is no worker, and which are not well, those in the same state in a line."""
    if not any(worker.is_live for worker in workers):
        yield Need(
            "no worker", "alert", "bad", "no live worker", "submitted runs wait",
            visit.url("workers"), command="stepflow worker package.module:app",
        )  # fmt: skip
    unwell = [worker for worker in workers if worker.is_live and worker.health]
    for is_bad, alike in _alike(unwell, lambda worker: worker.state == "unhealthy"):
        yield Need(
            "unhealthy" if is_bad else "degraded", "alert", "bad" if is_bad else "warn",
            f"worker {alike[0].name}" if len(alike) == 1 else "workers",
            _texts(worker.health.partition(": ")[2] for worker in alike), visit.url("workers"),
            len(alike), command="stepflow workers",
        )  # fmt: skip


def of_queues(queues: Sequence[QueueRow], visit: Visit) -> Iterator[Need]:
    """Say which queues no worker serves, or may."""
    for queue in queues:
        if queue.paused:
            said = f"{queue.paused.by or 'somebody'}: {queue.paused.reason}".removesuffix(": ")
            yield Need(
                "paused", "paused", "warn", f"queue {queue.name}", said, visit.url("queues"),
                queue.length, queue.paused.at, to_type("queue resume", queue.name),
            )  # fmt: skip
        elif queue.is_unserved:
            since = visit.now - timedelta(seconds=queue.oldest_s or 0)
            yield Need(
                "no worker", "alert", "bad", f"queue {queue.name}", "no worker serves it",
                visit.url("queues"), queue.length, since, f"stepflow worker APP -q {queue.name}",
            )  # fmt: skip


def of_failures(
    groups: Sequence[Group], counted: Sequence[FailureGroup], visit: Visit
) -> Iterator[Need]:
    """
    Say what has failed lately, by runner and error.

    *groups* are of runs that were looked at; *counted* says how many there were in all.
    """
    counts = {(each.runner, each.error): each for each in counted}
    for group in groups:
        if group.last_at >= visit.now - LATELY:
            known = counts.get((group.runner, group.error))
            yield Need(
                "failing", "failed", "bad", group.runner,
                f"{group.error}: {message_of(group.last, visit)}",
                visit.url("runs", q=group.where), max(group.count, known.count if known else 0),
                min(group.first_at, known.since) if known else group.first_at,
                f"stepflow retry --where {shlex.quote(group.where)}",
            )  # fmt: skip


def of_runners(runners: Sequence[RunnerInfo], visit: Visit) -> Iterator[Need]:
    """Say which runners runs wait for that no worker has."""
    for runner in runners:
        if runner.waiting:
            said = (
                "workers have it, but in other builds" if runner.builds else "no live worker has it"
            )
            version = f" in version {runner.version}" if runner.version > 1 else ""
            yield Need(
                "blocked", "alert", "bad", f"{runner.runner}{version}", said,
                visit.url("runs", q=f"state=pending runner={runner.runner}"), runner.waiting,
                command="stepflow worker package.module:app",
            )  # fmt: skip


def of_stuck(rows: Sequence[Row], visit: Visit) -> Iterator[Need]:
    """Say which runs do not move by themselves, those for the same reason in a line."""
    stuck = [
        (row, why) for row in rows if (why := row.why) and row.is_stuck and why.code not in _SAID
    ]
    for (_, runner), alike in _alike(stuck, lambda each: (each[1].code, each[0].run.runner)):
        first, why = alike[-1]
        many = visit.url("runs", q=f"state={first.run.state} runner={runner}")
        yield Need(
            str(why.word), "alert", "warn", runner, first.where,
            many if len(alike) > 1 else visit.url("runs", first.run.id),
            len(alike), why.since, next(iter(why.commands), ""),
        )  # fmt: skip


def of_paused(paused: Sequence[RunStatus], visit: Visit) -> Iterator[Need]:
    """Say which runs somebody has to resume, those of a runner in a line."""
    for runner, alike in _alike(paused, lambda run: run.runner):
        first, where = alike[0], f"state=paused runner={runner}"
        is_one = len(alike) == 1
        yield Need(
            "paused", "paused", "warn", runner,
            _texts(visit.shown("error", run.reason or run.waits_for) for run in alike),
            visit.url("runs", first.id) if is_one else visit.url("runs", q=where),
            len(alike), _oldest(run.updated_at for run in alike),
            to_type("resume", first.id) if is_one
            else f"stepflow resume --where {shlex.quote(where)}",
            has_more=len(paused) >= LOOKED_AT,
        )  # fmt: skip


def of_questions(
    questions: Sequence[Question], runners: Mapping[str, str], visit: Visit
) -> Iterator[Need]:
    """Say what runs ask, those of a runner in a line; *runners* has the runner of each run."""
    for runner, alike in _alike(questions, lambda each: runners.get(each.run_id, each.run_id)):
        first = alike[0]
        yield Need(
            "question", "waiting", "ask", runner,
            _texts(question.prompt for question in alike),
            f"{visit.url('questions')}#question-{first.token}",
            len(alike), _oldest(question.asked_at for question in alike),
            has_more=len(questions) >= LOOKED_AT,
        )  # fmt: skip


def of_hooks(hooks: Sequence[HookInfo], visit: Visit) -> Iterator[Need]:
    """Say where deliveries failed for good, those to one host, or of one hook, in a line."""
    for where, alike in _alike(hooks, lambda hook: urlsplit(hook.target).netloc or hook.target):
        yield Need(
            "hook", "failed", "warn", alike[0].target if len(alike) == 1 else where,
            _texts(hook.problem or "failed for good" for hook in alike), visit.url("hooks"),
            len(alike), _oldest(hook.created_at for hook in alike),
            has_more=len(hooks) >= LOOKED_AT,
        )  # fmt: skip


def _alike(found: Iterable[T], kind_of: Callable[[T], K]) -> Iterable[tuple[K, Sequence[T]]]:
    """Put together what is of one kind, in the order in which the kinds come."""
    kinds: dict[K, list[T]] = {}
    for each in found:
        kinds.setdefault(kind_of(each), []).append(each)
    return kinds.items()


def _texts(texts: Iterable[str | None]) -> str:
    """Join the first different ones of some texts."""
    several = list(dict.fromkeys(filter(None, texts)))
    return "; ".join(several[:_TEXTS]) + ("; …" if len(several) > _TEXTS else "")


def _oldest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)

"""What needs somebody, whatever it is, as lines of one list."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stepflow.client import HookInfo
from stepflow.core.run import RunStatus
from stepflow.engine.inspect import WorkerInfo
from stepflow.engine.questions import Question
from stepflow.engine.stats import FailureGroup
from stepflow.engine.versions.runners import RunnerInfo
from stepflow.web.pages.lists.failures import Group, message_of
from stepflow.web.pages.lists.queues import QueueRow
from stepflow.web.pages.lists.rows import Row
from stepflow.web.pages.visit import Visit

#: how long ago what failed counts as failing
LATELY = timedelta(hours=24)
#: what the lines of workers, queues and runners say already
_SAID = {
    "queued.no_worker", "queued.paused", "queued.unhealthy", "blocked.runner", "blocked.version",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Need:
    """
    One thing that needs somebody.

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


def of_workers(
    queues: Sequence[QueueRow], workers: Sequence[WorkerInfo], visit: Visit
) -> Iterator[Need]:
    """Say that nobody works, who is not well, and that nobody works a queue, or may."""
    if not any(worker.is_live for worker in workers):
        yield Need(
            "no worker", "alert", "bad", "no worker is live", "what is submitted waits",
            visit.url("workers"), command="stepflow worker package.module:app",
        )  # fmt: skip
    for worker in workers:
        if worker.is_live and worker.health:
            is_bad = worker.state == "unhealthy"
            yield Need(
                "unhealthy" if is_bad else "degraded", "alert", "bad" if is_bad else "warn",
                f"worker {worker.name}", worker.health.partition(": ")[2], visit.url("workers"),
                command="stepflow workers",
            )  # fmt: skip
    for queue in queues:
        if queue.paused:
            said = f"{queue.paused.by or 'somebody'}: {queue.paused.reason}".removesuffix(": ")
            yield Need(
                "paused", "paused", "warn", f"queue {queue.name}", said, visit.url("queues"),
                queue.length, queue.paused.at, f"stepflow queue resume {queue.name}",
            )  # fmt: skip
        elif queue.is_unserved:
            since = visit.now - timedelta(seconds=queue.oldest_s or 0)
            yield Need(
                "no worker", "alert", "bad", f"queue {queue.name}", "nobody works it",
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
                "workers have it, and not these runs" if runner.builds else "no live worker has it"
            )
            version = f" in version {runner.version}" if runner.version > 1 else ""
            yield Need(
                "blocked", "alert", "bad", f"{runner.runner}{version}", said,
                visit.url("runs", q=f"state=pending runner={runner.runner}"), runner.waiting,
                command="stepflow worker package.module:app",
            )  # fmt: skip


def of_stuck(rows: Sequence[Row], visit: Visit) -> Iterator[Need]:
    """Say which runs do not move by themselves, those for the same reason in a line."""
    kinds: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.is_stuck and row.why is not None and row.why.code not in _SAID:
            kinds.setdefault((row.why.code, row.run.runner), []).append(row)
    for (_, runner), alike in kinds.items():
        first = alike[-1]
        assert first.why is not None
        many = visit.url("runs", q=f"state={first.run.state} runner={runner}")
        yield Need(
            str(first.why.word), "alert", "warn", runner, first.where,
            many if len(alike) > 1 else visit.url("runs", first.run.id),
            len(alike), first.why.since, next(iter(first.why.commands), ""),
        )  # fmt: skip


def of_paused(paused: Sequence[RunStatus], visit: Visit) -> Iterator[Need]:
    """Say which runs somebody has to resume."""
    for run in paused:
        yield Need(
            "paused", "paused", "warn", run.id, run.reason or run.waits_for or "",
            visit.url("runs", run.id), since=run.updated_at, command=f"stepflow resume {run.id}",
        )  # fmt: skip


def of_questions(questions: Sequence[Question], visit: Visit) -> Iterator[Need]:
    """Say what runs ask."""
    for question in questions:
        yield Need(
            "question", "waiting", "ask", question.run_id, question.prompt,
            f"{visit.url('questions')}#question-{question.token}", since=question.asked_at,
        )  # fmt: skip


def of_hooks(hooks: Sequence[HookInfo], visit: Visit) -> Iterator[Need]:
    """Say which targets were not told, each in a line."""
    kinds: dict[tuple[str, str], list[HookInfo]] = {}
    for hook in hooks:
        kinds.setdefault((hook.target, hook.problem or ""), []).append(hook)
    for (target, problem), alike in kinds.items():
        yield Need(
            "hook", "failed", "warn", target, problem or "was given up", visit.url("hooks"),
            len(alike), alike[0].created_at,
        )  # fmt: skip

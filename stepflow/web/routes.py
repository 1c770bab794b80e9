"""The table of operations: the routes and the OpenAPI document are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.client import HookInfo
from stepflow.core.run import RunStatus
from stepflow.engine.inspect import QueueInfo, WorkerInfo
from stepflow.engine.questions import Question
from stepflow.engine.stats import Stats
from stepflow.engine.steering.bulk import BulkInfo, Preview
from stepflow.engine.versions.runners import RunnerInfo
from stepflow.engine.why import Why
from stepflow.engine.why.now import Now
from stepflow.errors import (
    AnswerMisfit,
    ArchiveMisconfigured,
    ArchiveUnreachable,
    BulkGrown,
    BulkNotFound,
    HookNotFound,
    InvalidName,
    InvalidOption,
    InvalidRunId,
    MailboxFull,
    NotDeletable,
    NotPausable,
    NotResumable,
    NotRetryable,
    NotRunning,
    NotScheduled,
    PayloadTooLarge,
    QuestionClosed,
    QuestionNotFound,
    RedisRefused,
    RedisUnreachable,
    ReplyLost,
    ReservedHeader,
    RunConflict,
    RunNotFound,
    RunStateError,
    SignalMisfit,
    SignalRefused,
    UnavailableError,
    UnknownRunner,
    UnknownStep,
    UnreadableRecord,
    UnsupportedValue,
    WebhookRefused,
    WorkerSilent,
)
from stepflow.web import bulk, figures, streams, verbs
from stepflow.web import reads as look
from stepflow.web.archived import ARCHIVED
from stepflow.web.breakers.given import BREAKER
from stepflow.web.breakers.table import BREAKERS
from stepflow.web.budgets.given import BUDGET
from stepflow.web.budgets.table import BUDGETS
from stepflow.web.groups.given import GROUP_ID
from stepflow.web.groups.table import GROUPS
from stepflow.web.lanes.table import LANES
from stepflow.web.limits.given import LIMIT
from stepflow.web.limits.table import LIMITS
from stepflow.web.models import (
    QUEUE,
    RUN_ID,
    Answer,
    Answered,
    Bulk,
    Created,
    Deleted,
    DeleteQuery,
    EventsQuery,
    Fork,
    Health,
    HooksQuery,
    ListQuery,
    Nothing,
    OutputQuery,
    PreviewQuery,
    QueueChanged,
    Redelivered,
    RowsQuery,
    RunPage,
    RunSteps,
    RunTimeline,
    ShownRun,
    Signal,
    Signalled,
    StatsQuery,
    Submit,
    WithReason,
)
from stepflow.web.operation import NOBODYS, Handle, Operation
from stepflow.web.problems import OF_BODY, OF_EVERY, CrossOrigin, Problem
from stepflow.web.schedules.given import SCHEDULE_ID
from stepflow.web.schedules.table import SCHEDULES
from stepflow.web.shared.given import SHARED_STEP
from stepflow.web.shared.table import SHARED

#: what stands in braces in a path: its pattern, and what it is
PATH_PARTS: Mapping[str, tuple[str, str]] = {
    "run_id": (RUN_ID, "The id of a run."),
    "token": (r"^[A-Za-z0-9_-]{1,128}\.[0-9a-f]{20}$", "The token of a question."),
    "hook_id": (r"^[A-Za-z0-9_-]{1,200}$", "The id of a hook delivery."),
    "bulk_id": (RUN_ID, "The id of a bulk."),
    "queue": (QUEUE, "The name of a queue."),
    "schedule_id": (SCHEDULE_ID, "The id of a schedule."),
    "limit": (LIMIT, "The name of a limit, with a key or without."),
    "breaker": (BREAKER, "The name of a circuit breaker."),
    "budget": (BUDGET, "The name of a budget."),
    "shared_step": (SHARED_STEP, "The name of a step with shared values."),
    "group_id": (GROUP_ID, "The id of a group."),
}

#: what may come of Redis
_REDIS: tuple[Problem, ...] = (RedisUnreachable, RedisRefused, ReplyLost, UnreadableRecord)
#: and of an operation on one run
_ONE: tuple[Problem, ...] = (RunNotFound, InvalidRunId)

READS = (
    Operation(
        "GET", "/runs", look.list_runs, "List runs", RunPage, query=ListQuery,
        problems=(InvalidOption, ArchiveMisconfigured, ArchiveUnreachable),
    ),
    Operation("GET", "/runs/{run_id}", look.show_run, "Show a run", ShownRun, problems=_ONE),
    Operation(
        "GET", "/runs/{run_id}/steps", look.show_steps, "List the steps of a run", RunSteps,
        problems=_ONE,
    ),
    Operation(
        "GET", "/runs/{run_id}/timeline", look.show_timeline, "Give the timeline of a run",
        RunTimeline, problems=_ONE,
    ),
    Operation(
        "GET", "/runs/{run_id}/journal", look.show_journal, "Export the history of a run",
        dict[str, Any], problems=_ONE,
    ),
    Operation("GET", "/runs/{run_id}/why", look.why, "Say why a run stands", Why, problems=_ONE),
    Operation(
        "GET", "/runs/{run_id}/now", look.now, "Ask what is done for a run right now", Now,
        problems=(*_ONE, NotRunning, WorkerSilent),
    ),
    Operation(
        "GET", "/questions", look.list_questions, "List open questions", list[Question],
        query=RowsQuery,
    ),
    Operation(
        "GET", "/hooks", look.list_hooks, "List hook deliveries", list[HookInfo],
        query=HooksQuery,
    ),
    Operation("GET", "/queues", look.list_queues, "List queues", list[QueueInfo]),
    Operation("GET", "/workers", look.list_workers, "List workers", list[WorkerInfo]),
    Operation("GET", "/stats", figures.stats, "Give the counts", Stats, query=StatsQuery),
    Operation(
        "GET", "/metrics", figures.metrics, "Give the metrics", str, media="text/plain",
        problems=(UnavailableError,),
    ),
    *ARCHIVED,
    Operation("GET", "/runners", look.list_runners, "List runners", list[RunnerInfo]),
    Operation("GET", "/health", look.health, "Is the server up?", Health, right=NOBODYS),
    Operation(
        "GET", "/ready", look.ready, "Does Redis answer?", Health, right=NOBODYS,
        problems=(UnavailableError,),
    ),
)  # fmt: skip

_SUBMIT: tuple[Problem, ...] = (
    RunConflict, InvalidRunId, InvalidName, InvalidOption, ReservedHeader, UnknownRunner,
    WebhookRefused, PayloadTooLarge, UnsupportedValue,
)  # fmt: skip


def _of_run(
    verb: str, handle: Handle, summary: str, *problems: Problem, body: Any = Nothing
) -> Operation:
    """Make the row of a verb that a run's status answers."""
    return Operation(
        "POST", f"/runs/{{run_id}}/{verb}", handle, summary, RunStatus, right=verb, body=body,
        problems=(*_ONE, *problems),
    )  # fmt: skip


VERBS = (
    Operation(
        "POST", "/runs", verbs.submit, "Submit a run", Created, right="submit", status=202,
        body=Submit, problems=_SUBMIT, headers={"Idempotency-Key": "The id of the run."},
    ),
    _of_run("cancel", verbs.cancel, "Cancel a run", RunStateError, body=WithReason),
    _of_run("fail", verbs.fail, "End a run as failed", RunStateError, body=WithReason),
    _of_run("pause", verbs.pause, "Pause a run", NotPausable, body=WithReason),
    _of_run("resume", verbs.resume, "Resume a paused run", NotResumable),
    _of_run("run-now", verbs.run_now, "Start a scheduled run now", NotScheduled),
    _of_run("retry", verbs.retry, "Run a failed run again", NotRetryable),
    Operation(
        "POST", "/runs/{run_id}/fork", verbs.fork, "Fork a run", Created, right="fork",
        status=202, body=Fork,
        problems=(*_ONE, UnknownStep, RunConflict, PayloadTooLarge, UnsupportedValue,
                  InvalidOption),
    ),
    Operation(
        "POST", "/runs/{run_id}/signal", verbs.signal, "Send a run a signal", Signalled,
        right="signal", body=Signal,
        problems=(
            *_ONE, InvalidName, InvalidOption, RunConflict, SignalRefused, SignalMisfit,
            MailboxFull, PayloadTooLarge, UnsupportedValue,
        ),
    ),
    Operation(
        "DELETE", "/runs/{run_id}", verbs.delete, "Delete an ended run", Deleted,
        right="delete", query=DeleteQuery, problems=(*_ONE, NotDeletable),
    ),
    Operation(
        "POST", "/questions/{token}", verbs.answer, "Answer a question", Answered,
        right="answer", body=Answer, problems=(QuestionNotFound, QuestionClosed, AnswerMisfit),
    ),
    Operation(
        "POST", "/hooks/{hook_id}/redeliver", verbs.redeliver, "Send a hook again", Redelivered,
        right="redeliver", body=Nothing, problems=(HookNotFound,),
    ),
    Operation(
        "POST", "/queues/{queue}/pause", verbs.pause_queue, "Pause a queue", QueueChanged,
        right="pause-queue", body=WithReason, problems=(InvalidName,),
    ),
    Operation(
        "POST", "/queues/{queue}/resume", verbs.resume_queue, "Resume a queue", QueueChanged,
        right="resume-queue", body=Nothing, problems=(InvalidName,),
    ),
)  # fmt: skip

_BULK: tuple[Problem, ...] = (BulkNotFound,)
BULKS = (
    Operation("GET", "/bulk", bulk.list_bulks, "List bulks", list[BulkInfo], query=RowsQuery),
    Operation(
        "GET", "/bulk/preview", bulk.preview_bulk, "Preview a bulk", Preview, query=PreviewQuery,
        problems=(InvalidOption,),
    ),
    Operation("GET", "/bulk/{bulk_id}", bulk.show_bulk, "Show a bulk", BulkInfo, problems=_BULK),
    Operation(
        "POST", "/bulk", bulk.begin_bulk, "Begin a bulk", BulkInfo, right="bulk", status=202,
        body=Bulk, problems=(InvalidOption, InvalidName, BulkGrown, PayloadTooLarge),
    ),
    Operation(
        "POST", "/bulk/{bulk_id}/stop", bulk.stop_bulk, "Stop a bulk", BulkInfo, right="bulk",
        body=Nothing, problems=_BULK,
    ),
    Operation(
        "POST", "/bulk/{bulk_id}/resume", bulk.resume_bulk, "Resume a bulk", BulkInfo,
        right="bulk", body=Nothing, problems=_BULK,
    ),
)  # fmt: skip
_LAST = {"Last-Event-ID": "The id of the last event that the reader knows."}
STREAMS = (
    Operation(
        "GET", "/runs/{run_id}/output", streams.output, "Read what a run emits", str,
        query=OutputQuery, problems=(*_ONE, InvalidOption), headers=_LAST, streams=True,
    ),
    Operation(
        "GET", "/runs/{run_id}/events", streams.events, "Read what happens to a run", str,
        query=EventsQuery, problems=(*_ONE, InvalidOption), headers=_LAST, streams=True,
    ),
)  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    *READS, *VERBS, *LANES, *BULKS, *SCHEDULES, *GROUPS, *BREAKERS, *BUDGETS, *LIMITS, *SHARED,
    *STREAMS,
)  # fmt: skip


def problems_of(operation: Operation) -> tuple[Problem, ...]:
    """Name all errors that an operation may answer with."""
    of_verb = (CrossOrigin,) if operation.is_verb else ()
    of_body = OF_BODY if operation.body is not None else ()
    return tuple(dict.fromkeys((*OF_EVERY, *of_body, *of_verb, *operation.problems, *_REDIS)))

"""The table of operations: the routes and the OpenAPI document are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.client import HookInfo
from stepflow.engine.inspect import QueueInfo, WorkerInfo
from stepflow.engine.questions import Question
from stepflow.engine.why import Why
from stepflow.errors import (
    InvalidOption,
    InvalidRunId,
    RedisRefused,
    RedisUnreachable,
    ReplyLost,
    RunNotFound,
    UnavailableError,
    UnreadableRecord,
)
from stepflow.web import reads as look
from stepflow.web.models import (
    QUEUE,
    RUN_ID,
    Health,
    HooksQuery,
    ListQuery,
    RowsQuery,
    RunPage,
    RunSteps,
    ShownRun,
)
from stepflow.web.operation import NOBODYS, Operation
from stepflow.web.problems import OF_BODY, OF_EVERY, CrossOrigin, Problem

#: what stands in braces in a path: its pattern, and what it is
PATH_PARTS: Mapping[str, tuple[str, str]] = {
    "run_id": (RUN_ID, "The id of a run."),
    "token": (r"^[A-Za-z0-9_-]{1,128}\.[0-9a-f]{20}$", "The token of a question."),
    "hook_id": (r"^[A-Za-z0-9_-]{1,200}$", "The id of a hook delivery."),
    "queue": (QUEUE, "The name of a queue."),
}

#: what may come of Redis
_REDIS: tuple[Problem, ...] = (RedisUnreachable, RedisRefused, ReplyLost, UnreadableRecord)
#: and of an operation on one run
_ONE: tuple[Problem, ...] = (RunNotFound, InvalidRunId)

READS = (
    Operation(
        "GET", "/runs", look.list_runs, "List runs", RunPage, query=ListQuery,
        problems=(InvalidOption,),
    ),
    Operation("GET", "/runs/{run_id}", look.show_run, "Show a run", ShownRun, problems=_ONE),
    Operation(
        "GET", "/runs/{run_id}/steps", look.show_steps, "List the steps of a run", RunSteps,
        problems=_ONE,
    ),
    Operation(
        "GET", "/runs/{run_id}/journal", look.show_journal, "Export the history of a run",
        dict[str, Any], problems=_ONE,
    ),
    Operation("GET", "/runs/{run_id}/why", look.why, "Say why a run stands", Why, problems=_ONE),
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
    Operation("GET", "/health", look.health, "Is the server up?", Health, right=NOBODYS),
    Operation(
        "GET", "/ready", look.ready, "Does Redis answer?", Health, right=NOBODYS,
        problems=(UnavailableError,),
    ),
)  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (*READS,)


def problems_of(operation: Operation) -> tuple[Problem, ...]:
    """Name all errors that an operation may answer with."""
    of_verb = (CrossOrigin,) if operation.is_verb else ()
    of_body = OF_BODY if operation.body is not None else ()
    return tuple(dict.fromkeys((*OF_EVERY, *of_body, *of_verb, *operation.problems, *_REDIS)))

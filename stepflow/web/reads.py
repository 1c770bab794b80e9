"""The operations that only look."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from stepflow.client import AsyncClient
from stepflow.core.graphs import Graph
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import RunStatus
from stepflow.core.step_record import Attempt
from stepflow.engine.graphs import graph_of as graph_of_run
from stepflow.engine.timeline import Trace, timeline_of, trace
from stepflow.engine.why import Why
from stepflow.errors import RedisRefused, RunNotFound, UnavailableError
from stepflow.hooks.body import json_value
from stepflow.store.query import server_time
from stepflow.times import as_datetime
from stepflow.web.models import moment_of
from stepflow.web.operation import Call
from stepflow.web.redact import redacted, redacted_history, redacted_run, redacted_step


async def list_runs(call: Call) -> dict[str, Any]:
    """List runs, newest first: by when they ended, else by when they were submitted."""
    query = call.query
    listing = call.client.archive.list_both if query.archived else call.client.list
    page = await listing(
        state=query.state,
        runner=query.runner,
        queue=query.queue,
        parent=query.parent,
        roots=query.roots,
        since=None if query.since is None else moment_of(query.since, "since"),
        headers=dict(pair.split("=", 1) for pair in query.header),
        tags=dict(pair.split("=", 1) for pair in query.tag),
        where=query.where,
        limit=query.limit,
        cursor=query.cursor,
    )
    runs = [redacted_run(call.redact, json_value(run)) for run in page.runs]
    return {"runs": runs, "cursor": page.cursor, "scanned": page.scanned}


async def show_run(call: Call) -> dict[str, Any]:
    """Give all that is known of a run, and why it stands where it stands."""
    run = await found(call)
    why = None if run.is_finished else await _why_of(call.client, run.id)
    return {
        **redacted_run(call.redact, json_value(run)),
        "why": redacted(call.redact, "why", json_value(why)),
    }


async def found(call: Call) -> RunStatus:
    """Read the run of a request; raises RunNotFound."""
    run_id = call.path["run_id"]
    run = await call.client.status(run_id)
    if run is None:
        raise RunNotFound(run_id)
    return run


async def _why_of(client: AsyncClient, run_id: str) -> Why | None:
    """Say why a run stands; nothing where the Redis user may not look any closer."""
    try:
        return await client.why(run_id)
    except RedisRefused:
        return None


async def show_steps(call: Call) -> dict[str, Any]:
    """List what a run has done and is doing, step by step."""
    timeline = await call.client.steps(call.path["run_id"])
    steps = [redacted_step(call.redact, json_value(step)) for step in timeline]
    return {
        "id": timeline.run.id, "is_workflow": timeline.is_workflow,
        "restarts": timeline.restarts, "steps": steps,
    }  # fmt: skip


async def show_timeline(call: Call) -> dict[str, Any]:
    """Give what the timeline of a run is drawn from: its steps, and when a worker had it."""
    found = await trace_of(call.client, call.path["run_id"])
    run = found.run
    return {
        "id": run.id, "state": run.state, "is_workflow": found.is_workflow,
        "restarts": found.restarts, "created_at": json_value(run.created_at),
        "started_at": json_value(run.started_at), "ended_at": json_value(run.ended_at),
        "steps": [
            redacted_step(call.redact, json_value(step)) for step in timeline_of(found).steps
        ],
        "activations": [_activation(call, each) for each in _activations(found)],
        "child_ends": {
            run_id: json_value(as_datetime(end)) for run_id, end in found.child_ends.items()
        },
    }  # fmt: skip


async def trace_of(client: AsyncClient, run_id: str) -> Trace:
    """Read what the timeline of a run is made of; raises RunNotFound."""
    return await client._do(trace(run_id, client.env))  # noqa: SLF001  `steps` has less


async def graph_of(client: AsyncClient, run: RunStatus) -> Graph | None:
    """Read the graph of a run's runner, if it has one."""
    return await client._do(graph_of_run(run, client.env))  # noqa: SLF001  no call of a client


def _activations(found: Trace) -> Sequence[Attempt]:
    return found.attempts if found.is_workflow else ()


def _activation(call: Call, each: Attempt) -> dict[str, Any]:
    record = each.record
    return {
        "number": each.number, "attempt": record.attempt, "outcome": record.outcome,
        "worker": record.worker or None, "started_at": json_value(as_datetime(record.started_at)),
        "ended_at": json_value(as_datetime(record.ended_at)),
        "error": redacted(call.redact, "error", json_value(ErrorInfo.of_brief(record.error))),
    }  # fmt: skip


async def show_journal(call: Call) -> dict[str, Any]:
    """Give a run's history as `stepflow export` prints it."""
    document = await call.client.history(call.path["run_id"])
    return redacted_history(call.redact, document)


async def why(call: Call) -> Any:
    """Say why a run stands where it stands, with the evidence."""
    found = await call.client.why(call.path["run_id"])
    if found.code == "gone.never":
        raise RunNotFound(call.path["run_id"])
    return redacted(call.redact, "why", json_value(found))


async def now(call: Call) -> Any:
    """Ask the worker that is running a run which steps are in progress, and where their code is."""
    return json_value(await call.client.now(call.path["run_id"]))


async def list_questions(call: Call) -> Any:
    """List the open questions that runs ask people."""
    return json_value(list(await call.client.questions(limit=call.query.limit)))


async def list_hooks(call: Call) -> Any:
    """List the deliveries that were given up, newest first, or all those of one run."""
    return json_value(list(await call.client.hooks(call.query.run, limit=call.query.limit)))


async def list_queues(call: Call) -> Any:
    """List the queues, and what waits in them."""
    return json_value(list(await call.client.queues()))


async def list_workers(call: Call) -> Any:
    """List the workers, and what they run."""
    return json_value(list(await call.client.workers()))


async def list_runners(call: Call) -> Any:
    """List the runners that workers know, and which live workers have them."""
    return json_value(list(await call.client.runners()))


async def health(call: Call) -> dict[str, str]:
    """Say that the server answers; asks nothing of Redis."""
    del call
    return {"status": "ok"}


#: seconds that Redis has to answer before the server counts as not ready
READY_S = 2.0


async def ready(call: Call) -> dict[str, str]:
    """Say that Redis answers."""
    try:
        async with asyncio.timeout(READY_S):
            await call.client._do(_clock())  # noqa: SLF001  no public call is as cheap
    except TimeoutError:
        msg = f"Redis did not answer within {READY_S:g} s"
        raise UnavailableError(msg) from None
    return {"status": "ok"}


async def _clock() -> float:
    return await server_time()

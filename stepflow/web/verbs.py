"""The operations that change something. Each is written down under the name of who asks."""

from __future__ import annotations

from typing import Any

from stepflow.engine.fork import SAME_INPUT
from stepflow.engine.once.options import Debounce, Singleton
from stepflow.engine.spec import RunSpec
from stepflow.engine.steering.audit import name_of, note
from stepflow.errors import InvalidOption, RunNotFound, RunStateError, stands
from stepflow.hooks.body import json_value
from stepflow.web.models import moment_of
from stepflow.web.operation import Call, Reply
from stepflow.web.reads import found
from stepflow.web.redact import redacted_run


async def submit(call: Call) -> Reply:
    """
    Submit a run; the same id and input again is the same run.

    The header `Idempotency-Key` is the id of the run, as is the field `id`.
    """
    given = call.body
    run = await call.client.submit(
        given.runner,
        given.payload,
        run_id=_id_of(call),
        headers=given.headers,
        tags=given.tags,
        queue=given.queue,
        priority=given.priority,
        delay=given.delay,
        start_at=None if given.start_at is None else moment_of(given.start_at, "start_at"),
        timeout=given.timeout,
        on_timeout=given.on_timeout,
        webhooks=given.webhooks,
        on_conflict="restart" if given.restart else "return",
        version=given.version,
        lane=given.lane,
        limits=given.limits,
        units=given.units,
        singleton=given.singleton and Singleton(**given.singleton.model_dump()),
        debounce=given.debounce and Debounce(**given.debounce.model_dump()),
    )
    if run.created:
        note("submit", run.id, name_of(call.by or None), given.runner)
    document = {"id": run.id, "created": run.created}
    return Reply(document, {"Location": f"{call.root}/runs/{run.id}"})


def _id_of(call: Call) -> str | None:
    """Give the id that a caller wants for a run; raises InvalidOption where there are two."""
    key: str | None = call.request.headers.get("idempotency-key")
    given: str | None = call.body.id
    if key is not None and given is not None and key != given:
        msg = "Idempotency-Key and id are both the id of the run, and differ; leave one out"
        raise InvalidOption(msg)
    return given if key is None else key


async def cancel(call: Call) -> Any:
    """Cancel a run: now if it waits, else its step is told to stop."""
    run_id, reason = call.path["run_id"], call.body.reason
    return await _ended(call, await call.client.cancel(run_id, reason, by=call.by), "cancel")


async def fail(call: Call) -> Any:
    """End a run as failed, without any cleanup."""
    run_id, reason = call.path["run_id"], call.body.reason or "failed by hand"
    return await _ended(call, await call.client.fail(run_id, reason, by=call.by), "fail")


async def _ended(call: Call, ends: bool, verb: str) -> Any:  # noqa: FBT001  what the client said
    run = await found(call)
    if not ends:
        msg = f"run {run.id!r} {stands(run.state)} already; there is nothing to {verb}"
        raise RunStateError(msg)
    return await _status(call)


async def _status(call: Call) -> Any:
    """Give the status of the run as it is now, as the verbs of the command line print it."""
    return redacted_run(call.redact, json_value(await found(call)))


async def pause(call: Call) -> Any:
    """Pause a run until somebody resumes it: at once when it waits, else after its step."""
    await call.client.pause(call.path["run_id"], call.body.reason, by=call.by)
    return await _status(call)


async def resume(call: Call) -> Any:
    """Let a paused run continue where it stopped."""
    await call.client.resume(call.path["run_id"], by=call.by)
    return await _status(call)


async def run_now(call: Call) -> Any:
    """Start a scheduled run, or its next attempt, now."""
    await call.client.run_now(call.path["run_id"], by=call.by)
    return await _status(call)


async def retry(call: Call) -> Any:
    """Run a failed run again from the step that failed."""
    await call.client.retry(call.path["run_id"], by=call.by)
    return await _status(call)


async def fork(call: Call) -> Reply:
    """Start a new run with the results of a run up to a step."""
    given = call.body
    run = await call.client.fork(
        call.path["run_id"],
        given.at,
        new_id=given.id,
        version=given.version,
        payload=given.set if "set" in given.model_fields_set else SAME_INPUT,
        by=call.by,
    )
    document = {"id": run.id, "created": run.created}
    return Reply(document, {"Location": f"{call.root}/runs/{run.id}"})


async def signal(call: Call) -> Any:
    """
    Send a run a signal; it stays in the mailbox until the run waits for it.

    With `start` a run that is not there is submitted; that needs the right to submit as well.
    """
    run_id, given = call.path["run_id"], call.body
    if given.start is not None:
        call.grant.check("submit")
    answer = await call.client.signal(
        run_id, given.name, given.payload, dedup=given.dedup, keep=given.keep,
        start=_started_by(given.start), by=call.by,
    )  # fmt: skip
    return {"id": run_id, "signal": given.name, "answer": answer}


def _started_by(given: Any) -> RunSpec | None:
    """Give the run that a signal may start."""
    if given is None:
        return None
    return RunSpec(
        given.runner, given.payload, headers=given.headers, tags=given.tags, queue=given.queue,
        priority=given.priority, timeout=given.timeout, on_timeout=given.on_timeout,
        version=given.version, lane=given.lane,
        on_conflict="restart" if given.restart else "return",
    )  # fmt: skip


async def delete(call: Call) -> Any:
    """
    Delete an ended run, with all that is kept of it.

    With `force` one that has not ended is cancelled first, and the answer waits up to 30 s for its
    end.
    """
    run_id = call.path["run_id"]
    if not await call.client.delete(run_id, force=call.query.force, by=call.by):
        raise RunNotFound(run_id)
    return {"id": run_id, "deleted": True}


async def answer(call: Call) -> Any:
    """Answer a question; it takes one answer."""
    token = call.path["token"]
    await call.client.answer(token, call.body.value, by=call.by)
    return {"token": token, "answered": True}


async def redeliver(call: Call) -> Any:
    """Send the delivery of a hook again, with all its tries."""
    hook_id = call.path["hook_id"]
    await call.client.redeliver(hook_id, by=call.by)
    return {"id": hook_id, "state": "pending"}


async def pause_queue(call: Call) -> Any:
    """Have no worker take anything from a queue until it is resumed."""
    queue = call.path["queue"]
    changed = await call.client.pause_queue(queue, call.body.reason, by=call.by)
    return {"queue": queue, "changed": changed}


async def resume_queue(call: Call) -> Any:
    """Let workers take from a queue again."""
    queue = call.path["queue"]
    return {"queue": queue, "changed": await call.client.resume_queue(queue, by=call.by)}

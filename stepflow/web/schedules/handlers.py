"""The operations on schedules, carried out."""

from __future__ import annotations

from typing import Any, cast

from stepflow.engine.schedules.spec import ScheduleOptions
from stepflow.errors import ScheduleNotFound
from stepflow.hooks.body import json_value
from stepflow.web.models import moment_of
from stepflow.web.operation import Call, Reply


async def list_schedules(call: Call) -> Any:
    """List the schedules, the one put first first."""
    query = call.query
    found = await call.client.schedules.list(limit=query.limit, offset=query.offset)
    return json_value(list(found))


async def show_schedule(call: Call) -> Any:
    """Show a schedule: when it runs, and where it stands."""
    return json_value(await call.client.schedules.get(call.path["schedule_id"]))


async def schedule_history(call: Call) -> Any:
    """Give the last 50 times of a schedule: the run of each, or why it has none."""
    return json_value(list(await call.client.schedules.history(call.path["schedule_id"])))


async def schedule_next(call: Call) -> Any:
    """Give the next times of a schedule, in its time zone."""
    found = await call.client.schedules.next(call.path["schedule_id"], call.query.count)
    return json_value(list(found))


async def put_schedule(call: Call) -> Any:
    """
    Put a schedule, over one with the same id if there is one, whose pause stays.

    Of one that code declares only the times can be put.
    """
    given = call.body.model_dump(exclude_none=True)
    if "until" in given:
        given["until"] = moment_of(given["until"], "until")
    if "at" in given:
        given["at"] = [moment_of(each, "at") for each in given["at"]]
    runner, cron, payload = given.pop("runner"), given.pop("cron", None), given.pop("payload", None)
    return json_value(
        await call.client.schedules.put(
            call.path["schedule_id"], runner, cron, payload=payload, by=call.by,
            **cast("ScheduleOptions", given),
        )
    )  # fmt: skip


async def pause_schedule(call: Call) -> Any:
    """Pause a schedule: its times have no runs until it is resumed."""
    schedule_id = call.path["schedule_id"]
    await call.client.schedules.pause(schedule_id, call.body.note, by=call.by)
    return await show_schedule(call)


async def resume_schedule(call: Call) -> Any:
    """Let a paused schedule go on."""
    schedule_id, catch_up = call.path["schedule_id"], call.body.catch_up
    await call.client.schedules.resume(schedule_id, catch_up=catch_up, by=call.by)
    return await show_schedule(call)


async def trigger_schedule(call: Call) -> Any:
    """Begin a run now, whatever the times; `run` is null where the last one goes on, with skip."""
    schedule_id, overlap = call.path["schedule_id"], call.body.overlap
    run_id = await call.client.schedules.trigger(schedule_id, overlap=overlap, by=call.by)
    return {"schedule": schedule_id, "run": run_id}


async def backfill_schedule(call: Call) -> Reply:
    """Begin the runs of past times, as a bulk."""
    given = call.body
    start, end = moment_of(given.start, "start"), moment_of(given.end, "end")
    begun = await call.client.schedules.backfill(
        call.path["schedule_id"], start, end, overlap=given.overlap, rate=given.rate, by=call.by
    )
    return Reply(json_value(begun), {"Location": f"{call.root}/bulk/{begun.id}"})


async def delete_schedule(call: Call) -> Any:
    """Delete a schedule; its runs stay. One that code declares comes back with its workers."""
    schedule_id = call.path["schedule_id"]
    if not await call.client.schedules.delete(schedule_id, by=call.by):
        raise ScheduleNotFound(schedule_id)
    return {"schedule": schedule_id, "deleted": True}

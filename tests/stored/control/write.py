"""
Write this sample: `python -m tests.stored.control.write`.

Run it once when the number of the format goes up, never to make a test green.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from stepflow import AsyncClient, RunSpec
from stepflow.store.connection.address import Address
from stepflow.store.connection.redis_py import connect
from stepflow.store.connection.server_check import FORMAT
from stepflow.worker.worker import WorkerOptions
from tests import servers
from tests.stored.app import FAR_S
from tests.stored.control.app import Claim, make_app
from tests.stored.database import write


async def until(holds: Callable[[], Awaitable[Any]]) -> None:
    """Wait for a condition."""
    while not await holds():
        await asyncio.sleep(0.01)


async def fill(url: str) -> None:
    """Have one of each kind stand where it can stand for long."""
    app = make_app(url)

    async def deliver(*args: object) -> None:
        raise ConnectionError("no hook is delivered")

    async with AsyncClient(url, settings=app.settings) as client:
        worker = app.make_worker(WorkerOptions(queues=["default"]), deliver=deliver)
        work = asyncio.ensure_future(worker.run())
        await worker.ready.wait()
        await client.breakers.open("ledger", note="audit", by="ann")
        await client.limits.set("slot[acme]", concurrency=2, by="ann")
        await client.submit("shared", "first", run_id="shared")
        await client.wait("shared", timeout=60)
        members = {key: RunSpec("waits", key) for key in ("wait", "fail", "late")}
        await client.groups.submit("group", members)
        for number in range(2):
            await client.submit("limited", run_id=f"slot-{number}", headers={"who": "ann/eu"})
        await client.submit("guarded", "x", run_id="guarded")
        await client.submit("claims", Claim(500), run_id="machine")
        for what in ("timer", "timeout"):
            await client.submit("timed", what, run_id=what)
        await client.submit("waits", "once", run_id="once", singleton="one")
        await until(lambda: stand(client))
        worker.leave()
        await work
        await client.set_window("fair", 1, by="ann")
        await client.set_weight("fair", "globex", 3, by="ann")
        for lane in ("acme", "globex"):
            for number in range(2):
                await client.submit(
                    "quick", number, queue="fair", lane=lane, run_id=f"{lane}-{number}"
                )
        for level in (7, 0, 5):
            await client.submit("quick", level, queue="levels", priority=level, run_id=f"p{level}")
        await client.schedules.put("yearly", "quick", "0 3 1 1 *", tz="Europe/Berlin", payload=1)
        await client.schedules.trigger("yearly")
        await client.schedules.pause("yearly", note="audit", by="ann")
        await client.schedules.put("far", "quick", at=[time.time() + FAR_S], payload=2)


async def stand(client: AsyncClient) -> bool:
    """Whether all stand where they are to."""
    waiting = (
        "group--wait",
        "group--late",
        "slot-0",
        "guarded",
        "machine",
        "timer",
        "timeout",
        "once",
    )
    states = [await client.status(run_id) for run_id in waiting]
    group, limit = await client.groups.status("group"), await client.limits.get("slot[ann/eu]")
    return all(run is not None and run.state in {"waiting", "scheduled"} for run in states) and (
        group.failed,
        limit.waiting,
    ) == (1, 1)


def main() -> None:
    """Write the sample beside this file."""
    path = Path(__file__).parent / f"format_{FORMAT}.json"
    with servers.test_server() as url:
        client = connect(Address.parse(url))
        client.flushall()
        asyncio.run(fill(url))
        write(client, path)
    print(path)


if __name__ == "__main__":
    main()

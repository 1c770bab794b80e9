"""
Write the sample of today's data format: `python -m tests.stored.write`.

Run it once when the number of the format goes up, never to make a test green.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from stepflow import AsyncClient, RunSpec
from stepflow.store.connection.address import Address
from stepflow.store.connection.redis_py import connect
from stepflow.store.connection.server_check import FORMAT
from stepflow.worker.worker import WorkerOptions
from tests import servers
from tests.stored.app import FAR_S, ODD, make_app
from tests.stored.database import write


async def fill(url: str) -> None:
    """Have a run of each kind stand where it can stand for long."""
    app = make_app(url)

    async def deliver(*args: object) -> None:
        raise ConnectionError("no hook is delivered")

    async with AsyncClient(url, settings=app.settings) as client:
        worker = app.make_worker(WorkerOptions(queues=["default"]), deliver=deliver)
        work = asyncio.ensure_future(worker.run())
        await worker.ready.wait()
        await client.submit_many(
            [
                RunSpec("chain", ODD, run_id="succeeded"),
                RunSpec("chain", "fail", run_id="failed"),
                RunSpec("chain", "cancel", run_id="cancelled"),
                RunSpec("chain", "later", run_id="between"),
                RunSpec("chain", 1, run_id="delayed", delay=FAR_S, timeout=FAR_S),
                *(
                    RunSpec("talks", what, run_id=what)
                    for what in ("signal", "sleep", "question", "child", "map")
                ),
                RunSpec("nowhere", 1, run_id="unroutable"),
            ]
        )
        for run_id in ("succeeded", "failed", "cancelled"):
            await client.wait(run_id, timeout=60)
        for run_id in ("signal", "sleep", "question", "child", "map"):
            while (await client.status(run_id)).state != "waiting":
                await asyncio.sleep(0.01)
        while (await client.status("between")).state != "scheduled":
            await asyncio.sleep(0.01)
        worker.leave()
        await work
        await client.submit("chain", 1, run_id="pending", headers={"by": "hand"}, priority="high")


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

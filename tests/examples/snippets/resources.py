"""What the reader of docs/how-to/resources.md has at hand, and what becomes of it [K12]."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from stepflow import Context, Health, Stepflow, inject  # noqa: F401  the page's
from stepflow.testing import Harness

app = Stepflow()
DSN = "postgres://"
seen: list[Any] = []


class Connection:
    async def execute(self, statement: str, *values: int) -> None:
        seen.append((statement.partition(" ")[0], *values))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield
        seen.append("committed")


class Pool(Connection):
    def get_idle_size(self) -> int:
        return 0

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        yield Connection()


class FakePool(Pool):
    pass


class Ledger:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class asyncpg:  # noqa: N801
    Pool = Pool
    Connection = Connection

    @staticmethod
    @asynccontextmanager
    async def create_pool(dsn: str) -> AsyncIterator[Pool]:
        seen.append("opened")
        yield Pool()
        seen.append("closed")


async def check(harness: Harness, space: dict[str, Any]) -> None:
    await space["test_an_order_is_charged"]()
    assert seen == [("INSERT", 7)]
    seen.clear()
    async with Harness(app) as h:  # which sets up what the page has declared meanwhile
        job = await space["refund"].submit(7)
        await h.result(job.run_id if hasattr(job, "run_id") else job)
    assert seen == ["opened", ("DELETE", 7), "committed", "closed"]
    assert await space["answers"](Pool()) == Health.degraded("all connections are in use")

"""What the reader of docs/how-to/around-steps.md has at hand, and what becomes of it [U15]."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from stepflow import CallNext, Context, Stepflow, UserCall  # noqa: F401  the page's
from stepflow.testing import Harness

app = Stepflow()
DSN = "postgres://"
current_session: ContextVar[str] = ContextVar("session")
seen: list[Any] = []


class Pool:
    async def execute(self, statement: str, *values: int) -> None:
        seen.append((current_session.get(), *values))


class asyncpg:  # noqa: N801
    Pool = Pool

    @staticmethod
    @asynccontextmanager
    async def create_pool(dsn: str) -> AsyncIterator[Pool]:
        seen.append("opened")
        yield Pool()
        seen.append("closed")


@asynccontextmanager
async def sessions() -> AsyncIterator[str]:
    yield "a session"


@app.workflow("order")
async def place(ctx: Context, number: int) -> None:
    await ctx.step(globals()["charge"], number)


async def check(harness: Harness, space: dict[str, Any]) -> None:
    async with Harness(app) as h:  # which opens what the page has declared meanwhile
        await h.result(await h.submit("order", 7))
    assert seen == ["opened", ("a session", 7), "closed"]

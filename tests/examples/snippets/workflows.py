"""What the reader of docs/workflows.md has at hand."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from stepflow import Context, RetryPolicy, Stepflow, SyncContext

app = Stepflow()


@dataclass
class Topic:
    text: str


@dataclass
class Hit:
    id: int


@dataclass
class Review:
    approved: bool


@dataclass
class Decision:
    publish: bool


@dataclass
class Report:
    text: str = ""


topic = Topic("bees")


def search_web(text: str) -> list[Hit]:
    return [Hit(1), Hit(2)]


search_carefully = search_web


def read(hit: Hit) -> str:
    return f"page {hit.id}"


def fetch(url: str, timeout: float) -> str:
    return f"{url} within {timeout} s"


def handle(message: object) -> None:
    pass


@app.workflow("order-of-kites")
async def order(ctx: Context, item: str) -> str:
    return await ctx.step("ship", str, item)


async def prepare(h):
    await h.submit("order-of-kites", "a kite", run_id="order-7")


async def publish(ctx: Context, page: int) -> str:
    return f"https://example.com/{page}"


async def render(ctx: Context, number: int) -> int:
    return number


def register(app: Stepflow) -> None:
    """Register the workflows that the page's own start."""
    app.workflow(publish)
    app.workflow(render)


__all__ = ["RetryPolicy", "SyncContext", "asyncio", "partial", "timedelta"]

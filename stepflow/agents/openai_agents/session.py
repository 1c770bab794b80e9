"""A session of the OpenAI Agents SDK that is kept with the run, as a conversation is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from agents import SessionSettings

from stepflow.errors import InvalidOption, shown
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.current import current

#: how the names of the variables begin that have what was added, each time its own
_PART = "session:"
#: the variable that says how many of those there are
_COUNT = "session"
#: by the ctx of a run: one of its branches at a time changes the items, which takes several calls
_locks: WeakKeyDictionary[Context, asyncio.Lock] = WeakKeyDictionary()


class RunSession:
    """
    A `Session` in the variables of the workflow's run: `run(agent, text, session=RunSession())`.

    Each item is stored once, and read and written as the workflow's variables are: remembered by
    its history, kept through crashes and `ctx.continue_as_new`. With *limit* the model is given the
    last items, so many at most; a turn then costs the thousandth time what it cost the first.

    Its calls raise InvalidOption elsewhere, and so does a *limit* below 1. Outside of the workflow
    `read_session(client.vars(run_id))` has the items.
    """

    def __init__(self, *, limit: int | None = None) -> None:
        if limit is not None and (type(limit) is not int or limit < 1):
            msg = f"limit of RunSession is {shown(limit)}; it is a whole number from 1, or None"
            raise InvalidOption(msg)
        self.session_settings: SessionSettings | None = SessionSettings(limit=limit)

    @property
    def session_id(self) -> str:
        """The id of the run."""
        return _ctx().run_id

    async def get_items(self, limit: int | None = None) -> list[Any]:
        """Return the items, or the last *limit* of them."""
        variables, items = _ctx().vars, list[Any]()
        for part in range(await variables.get(_COUNT, 0) - 1, -1, -1):
            if limit is not None and len(items) >= limit:
                break
            items = [*await variables.get(f"{_PART}{part}", []), *items]
        return items if limit is None else items[max(0, len(items) - limit) :]

    async def add_items(self, items: list[Any]) -> None:
        """Add *items* at the end."""
        if not items:
            return
        ctx = _ctx()
        async with _lock(ctx):
            count = await ctx.vars.incr(_COUNT)
            await ctx.vars.set(f"{_PART}{count - 1}", items)

    async def pop_item(self) -> Any:
        """Take the last item away and return it; None when there is none."""
        ctx = _ctx()
        async with _lock(ctx):
            for part in range(await ctx.vars.get(_COUNT, 0) - 1, -1, -1):
                items = await ctx.vars.get(f"{_PART}{part}", [])
                if items:  # none where a branch was cancelled while it added some
                    return await self._take_last(ctx, part, items)
        return None

    async def _take_last(self, ctx: Context, part: int, items: list[Any]) -> Any:
        *kept, last = items
        await ctx.vars.set(f"{_PART}{part}", kept or None)
        if not kept:
            await ctx.vars.set(_COUNT, part)
        return last

    async def clear_session(self) -> None:
        """Take all items away."""
        ctx = _ctx()
        async with _lock(ctx):
            for part in range(await ctx.vars.get(_COUNT, 0)):
                await ctx.vars.set(f"{_PART}{part}", None)
            await ctx.vars.set(_COUNT, None)


def read_session(variables: Mapping[str, Any]) -> list[Any]:
    """Give the items of a RunSession, in order, out of the variables of its run."""
    return [
        item
        for part in range(variables.get(_COUNT) or 0)
        for item in variables.get(f"{_PART}{part}") or []
    ]


def _lock(ctx: Context) -> asyncio.Lock:
    return _locks.setdefault(ctx, asyncio.Lock())


def _ctx() -> Context:
    ctx = current()
    if not isinstance(ctx, Context):
        msg = (
            "a RunSession was used outside of workflow code; there, read_session gives its items "
            "out of client.vars(run_id)"
        )
        raise InvalidOption(msg)
    return ctx

"""Plans that block, carried out in a thread, whose calls go over the connection of a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from stepflow.store.calls import Call, Plan
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.connection.sync import carry_out_calls

T = TypeVar("T")


def carry_out_from_thread(
    connection: AsyncCaller, loop: asyncio.AbstractEventLoop, plan: Plan[T]
) -> T:
    """Carry out a plan over a connection of *loop*; called in a thread, which it blocks."""

    def ask(calls: Sequence[Call[Any]]) -> list[Any]:
        return asyncio.run_coroutine_threadsafe(connection.calls(calls), loop).result()

    return carry_out_calls(ask, plan)

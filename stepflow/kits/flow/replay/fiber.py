"""
Fibers: plain code of a workflow, each in a greenlet of its own.

So it can wait where a coroutine would await.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

from stepflow.kits.flow.evicted import Evicted
from stepflow.kits.flow.replay.loop import OUTSIDE, WorkflowLoop

T = TypeVar("T")


class Fiber(greenlet):
    """
    Plain code that runs until it waits for something.

    Its task awaits that, and the code goes on with the result.
    """

    def __init__(self, code: Callable[[], Any], loop: WorkflowLoop) -> None:
        super().__init__(code)
        self.loop = loop
        self.gr_context = getcurrent().gr_context

    def wait(self, what: Awaitable[T]) -> T:
        """Block this fiber, and nothing else, until *what* is done; returns its result."""
        assert self.parent is not None
        result: T = self.parent.switch(what)
        return result


def current_fiber(loop: WorkflowLoop) -> Fiber:
    """
    Return the fiber whose code is running.

    Raises NotReplayable elsewhere, Evicted when the activation is over.
    """
    loop.branch()
    fiber = getcurrent()
    if not isinstance(fiber, Fiber) or fiber.loop is not loop:
        loop.refuse_for_good(OUTSIDE)
    return fiber


async def run_plain(code: Callable[[], T], loop: WorkflowLoop) -> T:
    """
    Run plain code in a fiber of its own, awaiting here what it waits for.

    Evicted, this ends the fiber: its `finally` blocks run.
    """
    fiber = Fiber(code, loop)
    switched = fiber.switch()
    while not fiber.dead:
        try:
            result = await switched
        except (Evicted, GeneratorExit):
            fiber.throw(GreenletExit)
            raise
        except BaseException as error:  # noqa: BLE001  whatever it is, it is raised where the code waits
            switched = fiber.throw(error)
        else:
            switched = fiber.switch(result)
    return switched  # type: ignore[no-any-return]


async def run_all(codes: Sequence[Callable[[], T]], loop: WorkflowLoop) -> list[T]:
    """
    Run plain codes side by side, each a branch of its own; returns their values in order.

    When one raises, the others are cancelled, and once all have ended its error is raised.
    """
    branches = [loop.create_task(run_plain(code, loop)) for code in codes]
    try:
        values: list[T] = await asyncio.gather(*branches)
    except (Evicted, GeneratorExit):
        raise
    except BaseException:
        for branch in branches:
            branch.cancel()
        await asyncio.wait(branches)
        raise
    return values

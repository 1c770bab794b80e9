"""Reads how children and maps ended: at once for all that wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stepflow.errors import StepflowError
from stepflow.kits.flow.runtime import FlowRuntime


class ChildEndReader:
    """
    Batches what is read into one call.

    *on_inbox* is called with how much the run's inbox got, read before the ends. So a park that
    compares the inbox cannot miss an end that came after it was looked for.
    """

    def __init__(self, runtime: FlowRuntime, on_inbox: Callable[[int], None]) -> None:
        self._runtime = runtime
        self._on_inbox = on_inbox
        self._asked: list[tuple[str, asyncio.Future[bytes | None]]] = []
        self._reading: set[asyncio.Task[None]] = set()

    def read(self, name: str) -> asyncio.Future[bytes | None]:
        """Return the end of a child (by run id) or of a map (by its id), None before it ended."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._begin)
        future: asyncio.Future[bytes | None] = loop.create_future()
        self._asked.append((name, future))
        return future

    def _begin(self) -> None:
        task = asyncio.ensure_future(self._read())
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self) -> None:
        asked, self._asked = self._asked, []
        try:
            inbox, ends = await self._runtime.load_ends([name for name, _ in asked])
        except StepflowError as error:
            for _, future in asked:
                future.set_exception(error)
            return
        self._on_inbox(inbox)
        for (_, future), end in zip(asked, ends, strict=True):
            future.set_result(end)

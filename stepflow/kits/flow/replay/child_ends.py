"""
The lookout: asks Redis how children and maps ended, once for all who want to know in the same turn
of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stepflow.errors import StepflowError
from stepflow.kits.flow.runtime import FlowRuntime


class ChildEndReader:
    """
    *heard* is told how much the run's inbox got, read before the answers.

    So a park that compares the inbox cannot miss an answer that came after it was looked for.
    """

    def __init__(self, runtime: FlowRuntime, heard: Callable[[int], None]) -> None:
        self._runtime = runtime
        self._heard = heard
        self._asked: list[tuple[str, asyncio.Future[bytes | None]]] = []
        self._looking: set[asyncio.Task[None]] = set()

    def read(self, name: str) -> asyncio.Future[bytes | None]:
        """
        Ask for the answer of a child (by run id) or a map (by stem).

        None while there is none.
        """
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._begin)
        future: asyncio.Future[bytes | None] = loop.create_future()
        self._asked.append((name, future))
        return future

    def _begin(self) -> None:
        task = asyncio.ensure_future(self._look())
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _look(self) -> None:
        asked, self._asked = self._asked, []
        try:
            inbox, answers = await self._runtime.load_ends([name for name, _ in asked])
        except StepflowError as error:
            for _, future in asked:
                future.set_exception(error)
            return
        self._heard(inbox)
        for (_, future), answer in zip(asked, answers, strict=True):
            future.set_result(answer)

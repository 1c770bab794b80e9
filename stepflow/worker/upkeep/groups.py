"""What a worker does for groups: it moves on those that are due, one look after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stepflow.engine.env import Env
from stepflow.engine.gate import one_by_one
from stepflow.store.connection.async_ import AsyncCaller, carry_out


class GroupKeeper:
    """
    The groups that one worker moves on, each in a task of its own.

    What only groups need is loaded when there is one.
    """

    def __init__(self, env: Env, connection: AsyncCaller) -> None:
        self._env = env
        self._connection = connection
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a group is being moved on here."""
        return bool(self._tasks)

    def start(self, group_ids: Sequence[str]) -> None:
        """Begin to move groups on; those in progress here go on anyway."""
        for group_id in group_ids:
            if group_id not in self._tasks:
                task = asyncio.get_running_loop().create_task(self._carry(group_id))
                self._tasks[group_id] = task

    async def carry(self, group_ids: Sequence[str]) -> None:
        """Move groups on, and wait for it."""
        for group_id in group_ids:
            await self._carry(group_id)

    def stop(self) -> None:
        """Leave what is in progress to other workers."""
        for task in self._tasks.values():
            task.cancel()

    async def _carry(self, group_id: str) -> None:
        from stepflow.engine.groups.carry import look  # noqa: PLC0415  as above

        try:
            with one_by_one(f"group={group_id}"):
                while await carry_out(self._connection, look(group_id, self._env)):
                    pass
        finally:
            self._tasks.pop(group_id, None)

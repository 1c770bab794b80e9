"""Slots: how much may be in progress at once."""

from __future__ import annotations

import asyncio


class Slots:
    """A count of free slots and a way to wait for one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many are free."""
        return self.size - self.used

    def take(self) -> None:
        """Use one; taking more than there are is allowed to who adopts what it holds already."""
        self.used += 1

    def give_back(self) -> None:
        """Free one."""
        self.used -= 1
        self._changed.set()

    async def wait_free(self) -> None:
        """Wait until one is free."""
        while self.free <= 0:
            self._changed.clear()
            if self.free <= 0:
                await self._changed.wait()

    async def wait_idle(self) -> None:
        """Wait until all are free."""
        while self.used > 0:
            self._changed.clear()
            await self._changed.wait()

"""The futures that `ctx` gives out: each knows whom to tell when the workflow cancels it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Answer(asyncio.Future[Any]):
    """
    The future of a command; *on_cancelled* is called with its *place* when the workflow cancels it.

    Both are set when the command is asked for. A callback would tell of a cancellation as well, and
    cost every step a turn of the workflow's loop.
    """

    __slots__ = ("on_cancelled", "place")

    on_cancelled: Callable[[str], None]
    place: str

    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        if hasattr(self, "place"):
            self.on_cancelled(self.place)
        return True


# in words it is what its users know it as
Answer.__name__ = Answer.__qualname__ = "Future"

"""A burst: a worker that leaves once nothing is left to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from stepflow.engine.feed import Feed


class Burst:
    """
    Calls *leave* when each of *feeds* has looked twice in a row and found nothing, with nothing in hand meanwhile.

    The first look may have been sent before the last thing in hand ended, and so have missed what that left behind: a
    run's next step, or its hook in the other feed's queue. The second was sent after it.
    """

    def __init__(self, feeds: list[Feed], *, is_busy: Callable[[], bool], leave: Callable[[], None]) -> None:
        self._in_vain: Counter[int] = Counter()
        self._count = len(feeds)
        self._is_busy = is_busy
        self._leave = leave
        for number, feed in enumerate(feeds):
            feed.on_look = partial(self._looked, number)

    def _looked(self, number: int, has_found: bool) -> None:  # noqa: FBT001
        if has_found or self._is_busy():
            self._in_vain.clear()
            return
        self._in_vain[number] += 1
        if all(self._in_vain[feed] > 1 for feed in range(self._count)):
            self._leave()

"""What a worker does for limits; nothing as long as it meets none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from stepflow.engine.env import Env
from stepflow.engine.gate import one_by_one
from stepflow.engine.registry import Registry
from stepflow.store.connection.async_ import AsyncCaller, carry_out

log = logging.getLogger("stepflow.worker")


class LimitKeeper:
    """
    Looks at lines of limits: those whose timer rings, and some of them once a second.

    A worker begins with the rounds when its app declares limits, or when it meets a run that has
    any: *has_met* says so.
    """

    def __init__(
        self,
        env: Env,
        registry: Registry,
        connection: AsyncCaller,
        *,
        has_met: Callable[[], bool],
    ) -> None:
        self._env = env
        self._registry = registry
        self._connection = connection
        self._has_met = has_met
        self._is_needed = False

    async def announce(self) -> None:
        """Write what the code at hand says of its limits."""
        if not self._registry.limited:
            return
        from stepflow.engine.limits.declared import announce_limits  # noqa: PLC0415  few have any

        await carry_out(self._connection, announce_limits(self._registry, self._env))

    async def call_due(self, limited: Sequence[str]) -> float | None:
        """Look at lines whose timer has rung; gives when the next thing is due."""
        from stepflow.engine.limits.turns import call_due  # noqa: PLC0415  as above

        self._is_needed = True
        return await carry_out(self._connection, call_due(limited, self._env))

    async def go(self) -> float | None:
        """Make one round; gives when the next thing is due, where it looked."""
        self._is_needed = self._is_needed or bool(self._registry.limited) or self._has_met()
        if not self._is_needed:
            return None
        from stepflow.engine.limits.overdue import end_overdue  # noqa: PLC0415  as above
        from stepflow.engine.limits.turns import look_round  # noqa: PLC0415  as above

        due_at = None
        with one_by_one("lines of limits could not be looked at; the next round tries again"):
            due_at, lines = await carry_out(self._connection, look_round(self._env))
            if lines:
                await carry_out(self._connection, end_overdue(lines, self._env))
        return due_at

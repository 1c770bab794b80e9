"""What both clients do with circuit breakers; loaded when you first ask for `client.breakers`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from stepflow.engine.breakers import verbs
from stepflow.engine.breakers.info import BreakerInfo
from stepflow.engine.steering.audit import name_of, noted
from stepflow.store.calls import Plan
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.client.base import BaseClient
    from stepflow.client.doing import AsyncDoing, Doing


class _Plans:
    """The verbs as plans, for both clients."""

    def __init__(self, client: BaseClient) -> None:
        self._of = client

    def _open(
        self, name: str, duration: float | timedelta | None, note: str, by: str | None
    ) -> Plan[BreakerInfo]:
        for_s = None if duration is None else seconds(duration, "the time to be open")
        who = name_of(by)
        plan = verbs.open_breaker(name, for_s, note, who, self._of.env)
        return noted(plan, "open-breaker", name, who, note)

    def _close(self, name: str, by: str | None) -> Plan[BreakerInfo]:
        who = name_of(by)
        return noted(verbs.close_breaker(name, who, self._of.env), "close-breaker", name, who)

    def _reset(self, name: str, by: str | None) -> Plan[BreakerInfo]:
        who = name_of(by)
        return noted(verbs.reset_breaker(name, who, self._of.env), "reset-breaker", name, who)


class Breakers(_Plans):
    """Circuit breakers, for `Client`: `client.breakers.open("stripe", 600)`."""

    def __init__(self, client: BaseClient, doing: Doing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    def list(self, *, limit: int = 1000, offset: int = 0) -> Sequence[BreakerInfo]:
        """Read the breakers that steps have asked for in the last week, by name."""
        return self._do(verbs.breakers(self._of.env, limit=limit, offset=offset))

    def get(self, name: str) -> BreakerInfo:
        """Read a breaker; raises BreakerNotFound."""
        return self._do(verbs.get(name, self._of.env))

    def open(
        self,
        name: str,
        duration: float | timedelta | None = None,
        *,
        note: str = "",
        by: str | None = None,
    ) -> BreakerInfo:
        """
        Have the breaker let no call through: steps that have it wait.

        For *duration* (seconds or timedelta), after which trials are let through, or until you
        close it. It need not be known yet.
        """
        return self._do(self._open(name, duration, note, by))

    def close(self, name: str, *, by: str | None = None) -> BreakerInfo:
        """
        Have the breaker let all calls through; the runs that wait come back by and by.

        Raises BreakerNotFound.
        """
        return self._do(self._close(name, by))

    def reset(self, name: str, *, by: str | None = None) -> BreakerInfo:
        """Close the breaker and set its counts to 0; raises BreakerNotFound."""
        return self._do(self._reset(name, by))


class AsyncBreakers(_Plans):
    """Circuit breakers, for `AsyncClient`; see `Breakers`."""

    def __init__(self, client: BaseClient, doing: AsyncDoing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    async def list(self, *, limit: int = 1000, offset: int = 0) -> Sequence[BreakerInfo]:
        """See Breakers.list."""
        return await self._do(verbs.breakers(self._of.env, limit=limit, offset=offset))

    async def get(self, name: str) -> BreakerInfo:
        """See Breakers.get."""
        return await self._do(verbs.get(name, self._of.env))

    async def open(
        self,
        name: str,
        duration: float | timedelta | None = None,
        *,
        note: str = "",
        by: str | None = None,
    ) -> BreakerInfo:
        """See Breakers.open."""
        return await self._do(self._open(name, duration, note, by))

    async def close(self, name: str, *, by: str | None = None) -> BreakerInfo:
        """See Breakers.close."""
        return await self._do(self._close(name, by))

    async def reset(self, name: str, *, by: str | None = None) -> BreakerInfo:
        """See Breakers.reset."""
        return await self._do(self._reset(name, by))

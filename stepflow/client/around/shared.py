"""What both clients do with values that runs share; loaded when you ask for `client.shared`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepflow.core.ids import check_texts
from stepflow.engine.shared import verbs
from stepflow.engine.shared.verbs import SharedValueInfo
from stepflow.engine.steering.audit import noted
from stepflow.store.calls import Plan

if TYPE_CHECKING:
    from stepflow.client.base import BaseClient
    from stepflow.client.doing import AsyncDoing, Doing


class _Plans:
    """The verbs as plans, for both clients."""

    def __init__(self, client: BaseClient) -> None:
        self._of = client

    def _drop(self, name: str, ids: Sequence[str] | None, by: str | None) -> Plan[int]:
        ids = None if ids is None else check_texts("ids", ids)
        detail = "all" if ids is None else ", ".join(ids)
        return noted(verbs.drop(name, ids, self._of.env), "drop-shared", name, by, detail)


class SharedValues(_Plans):
    """Values that runs share, for `Client`: `client.shared.drop("geocode")`."""

    def __init__(self, client: BaseClient, doing: Doing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    def names(self) -> Sequence[str]:
        """Name the steps that have shared values; `memo` has those of `step.memo.shared`."""
        return self._do(verbs.names(self._of.env))

    def list(self, name: str, *, limit: int = 100, offset: int = 0) -> Sequence[SharedValueInfo]:
        """Read the values of a step, those first that expire last."""
        return self._do(verbs.values(name, self._of.env, limit=limit, offset=offset))

    def drop(self, name: str, ids: Sequence[str] | None = None, *, by: str | None = None) -> int:
        """
        Drop values of a step by their ids, by default all; returns how many there were.

        What is being computed meanwhile is shared all the same.
        """
        return self._do(self._drop(name, ids, by))


class AsyncSharedValues(_Plans):
    """Values that runs share, for `AsyncClient`; see `SharedValues`."""

    def __init__(self, client: BaseClient, doing: AsyncDoing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    async def names(self) -> Sequence[str]:
        """See SharedValues.names."""
        return await self._do(verbs.names(self._of.env))

    async def list(
        self, name: str, *, limit: int = 100, offset: int = 0
    ) -> Sequence[SharedValueInfo]:
        """See SharedValues.list."""
        return await self._do(verbs.values(name, self._of.env, limit=limit, offset=offset))

    async def drop(
        self, name: str, ids: Sequence[str] | None = None, *, by: str | None = None
    ) -> int:
        """See SharedValues.drop."""
        return await self._do(self._drop(name, ids, by))

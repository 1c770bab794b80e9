"""What both clients do with limits; loaded when you first ask for `client.limits`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from stepflow.core.limits.use import label_of, split_label
from stepflow.engine.limits import verbs
from stepflow.engine.limits.info import LimitInfo
from stepflow.engine.steering.audit import noted
from stepflow.store.calls import Plan

if TYPE_CHECKING:
    from stepflow.client.base import BaseClient
    from stepflow.client.doing import AsyncDoing, Doing


class LimitOptions(TypedDict, total=False):
    """What can be set of a limit; "none" takes a bound of the code away."""

    concurrency: int | Literal["none"]
    rate: str
    burst: int
    max_line: int
    max_wait: float | timedelta | Literal["none"]


class _Plans:
    """The verbs as plans, for both clients. A limit is named `stripe`, or `stripe[acme]`."""

    def __init__(self, client: BaseClient) -> None:
        self._of = client

    def _get(self, limit: str) -> Plan[LimitInfo]:
        return verbs.limit(*_split(limit), self._of.env)

    def _set(self, limit: str, fields: Any, by: str | None) -> Plan[LimitInfo]:
        said = " ".join(f"{name}={value}" for name, value in fields.items())
        plan = verbs.set_limit(*_split(limit), fields, self._of.env)
        return noted(plan, "set-limit", limit, by, said)

    def _unset(self, limit: str, by: str | None) -> Plan[bool]:
        return noted(verbs.unset_limit(*_split(limit), self._of.env), "unset-limit", limit, by)

    def _reset(self, limit: str, by: str | None) -> Plan[int]:
        return noted(verbs.reset_limit(*_split(limit), self._of.env), "reset-limit", limit, by)

    def _forget(self, name: str, by: str | None) -> Plan[bool]:
        return noted(verbs.forget_limit(name, self._of.env), "forget-limit", name, by)


def _split(limit: str) -> tuple[str, str | None]:
    name, key = split_label(limit)
    return name, key if label_of(name, "") != limit else None


class Limits(_Plans):
    """Limits, for `Client`: `client.limits.set("stripe[acme]", concurrency=50)`."""

    def __init__(self, client: BaseClient, doing: Doing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    def list(self) -> Sequence[LimitInfo]:
        """Read all limits, by name."""
        return self._do(verbs.limits(self._of.env))

    def get(self, limit: str) -> LimitInfo:
        """Read a limit, `stripe`, or what it is for one key, `stripe[acme]`: LimitNotFound."""
        return self._do(self._get(limit))

    def set(
        self, limit: str, *, by: str | None = None, **bounds: Unpack[LimitOptions]
    ) -> LimitInfo:
        """
        Have bounds count from now on instead of those that the code declares.

        Of `stripe` for all keys, of `stripe[acme]` for one. Runs in line begin at once where there
        is room; lowering waits for ends. It outlives deploys. Raises InvalidName, InvalidOption.
        """
        return self._do(self._set(limit, bounds, by))

    def unset(self, limit: str, *, by: str | None = None) -> bool:
        """Have the bounds of the code count again; False when none was set; LimitNotFound."""
        return self._do(self._unset(limit, by))

    def reset(self, limit: str, *, by: str | None = None) -> int:
        """
        Forget what has begun by the rate, and rests; gives how many keys that concerned.

        Raises LimitNotFound.
        """
        return self._do(self._reset(limit, by))

    def forget(self, name: str, *, by: str | None = None) -> bool:
        """Forget a limit that no code declares any more; False when it was not known."""
        return self._do(self._forget(name, by))


class AsyncLimits(_Plans):
    """See Limits."""

    def __init__(self, client: BaseClient, doing: AsyncDoing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    async def list(self) -> Sequence[LimitInfo]:
        """See Limits.list."""
        return await self._do(verbs.limits(self._of.env))

    async def get(self, limit: str) -> LimitInfo:
        """See Limits.get."""
        return await self._do(self._get(limit))

    async def set(
        self, limit: str, *, by: str | None = None, **bounds: Unpack[LimitOptions]
    ) -> LimitInfo:
        """See Limits.set."""
        return await self._do(self._set(limit, bounds, by))

    async def unset(self, limit: str, *, by: str | None = None) -> bool:
        """See Limits.unset."""
        return await self._do(self._unset(limit, by))

    async def reset(self, limit: str, *, by: str | None = None) -> int:
        """See Limits.reset."""
        return await self._do(self._reset(limit, by))

    async def forget(self, name: str, *, by: str | None = None) -> bool:
        """See Limits.forget."""
        return await self._do(self._forget(name, by))

"""What clients have verbs for beside runs, each loaded when you first ask for it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

from stepflow.client.output import AsyncFollowing, Following

if TYPE_CHECKING:
    from stepflow.client.archived import Archives, AsyncArchives
    from stepflow.client.around.breakers import AsyncBreakers, Breakers
    from stepflow.client.around.budgets import AsyncBudgets, Budgets
    from stepflow.client.around.shared import AsyncSharedValues, SharedValues
    from stepflow.client.base import BaseClient
    from stepflow.client.groups import AsyncGroups, Groups
    from stepflow.client.limits import AsyncLimits, Limits
    from stepflow.client.schedules import AsyncSchedules, Schedules


class Nouns(Following):
    """What `Client` has verbs for beside runs."""

    @cached_property
    def archive(self) -> Archives:
        """The archive: list, get, steps, document, export, prune, snapshot, restore, health."""
        from stepflow.client.archived import Archives  # noqa: PLC0415  few have any

        return Archives(cast("BaseClient", self), self)

    @cached_property
    def schedules(self) -> Schedules:
        """The schedules: put, get, list, pause, resume, trigger, backfill, delete."""
        from stepflow.client.schedules import Schedules  # noqa: PLC0415  few have any

        return Schedules(cast("BaseClient", self), self)

    @cached_property
    def limits(self) -> Limits:
        """The limits of concurrency and rate: list, get, set, unset, reset, forget."""
        from stepflow.client.limits import Limits  # noqa: PLC0415  few have any

        return Limits(cast("BaseClient", self), self)

    @cached_property
    def groups(self) -> Groups:
        """The groups, many runs as one: submit, status, wait, retry_failed, cancel, forget."""
        from stepflow.client.groups import Groups  # noqa: PLC0415  few have any

        return Groups(cast("BaseClient", self), self)

    @cached_property
    def breakers(self) -> Breakers:
        """The circuit breakers: list, get, open, close, reset."""
        from stepflow.client.around.breakers import Breakers  # noqa: PLC0415  few have any

        return Breakers(cast("BaseClient", self), self)

    @property
    def budgets(self) -> Budgets:
        """The budgets: list, get, set, reset."""
        from stepflow.client.around.budgets import Budgets  # noqa: PLC0415  few have any

        return Budgets(cast("BaseClient", self), self)

    @cached_property
    def shared(self) -> SharedValues:
        """The values that runs share: names, list, drop."""
        from stepflow.client.around.shared import SharedValues  # noqa: PLC0415  few have any

        return SharedValues(cast("BaseClient", self), self)


class AsyncNouns(AsyncFollowing):
    """What `AsyncClient` has verbs for beside runs."""

    @cached_property
    def archive(self) -> AsyncArchives:
        """The archive: list, get, steps, document, export, prune, snapshot, restore, health."""
        from stepflow.client.archived import AsyncArchives  # noqa: PLC0415  few have any

        return AsyncArchives(cast("BaseClient", self), self)

    @cached_property
    def schedules(self) -> AsyncSchedules:
        """The schedules: put, get, list, pause, resume, trigger, backfill, delete."""
        from stepflow.client.schedules import AsyncSchedules  # noqa: PLC0415  few have any

        return AsyncSchedules(cast("BaseClient", self), self)

    @cached_property
    def limits(self) -> AsyncLimits:
        """The limits of concurrency and rate: list, get, set, unset, reset, forget."""
        from stepflow.client.limits import AsyncLimits  # noqa: PLC0415  few have any

        return AsyncLimits(cast("BaseClient", self), self)

    @cached_property
    def groups(self) -> AsyncGroups:
        """The groups, many runs as one: submit, status, wait, retry_failed, cancel, forget."""
        from stepflow.client.groups import AsyncGroups  # noqa: PLC0415  few have any

        return AsyncGroups(cast("BaseClient", self), self)

    @cached_property
    def breakers(self) -> AsyncBreakers:
        """The circuit breakers: list, get, open, close, reset."""
        from stepflow.client.around.breakers import AsyncBreakers  # noqa: PLC0415  few have any

        return AsyncBreakers(cast("BaseClient", self), self)

    @property
    def budgets(self) -> AsyncBudgets:
        """The budgets: list, get, set, reset."""
        from stepflow.client.around.budgets import AsyncBudgets  # noqa: PLC0415  few have any

        return AsyncBudgets(cast("BaseClient", self), self)

    @cached_property
    def shared(self) -> AsyncSharedValues:
        """The values that runs share: names, list, drop."""
        from stepflow.client.around.shared import AsyncSharedValues  # noqa: PLC0415  few have any

        return AsyncSharedValues(cast("BaseClient", self), self)

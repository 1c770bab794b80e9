"""What both clients do to many runs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepflow.client.doing import AsyncDoing, Doing
from stepflow.engine.steering.audit import name_of, noted
from stepflow.engine.steering.bulk import (
    RATE,
    BulkInfo,
    Preview,
    begin,
    bulks,
    carry_again,
    find,
    preview,
    stop,
)


class Bulks(Doing):
    """The bulk verbs, for `Client`."""

    def preview(self, verb: str, where: str) -> Preview:
        """
        Count the runs that `bulk` would affect, exactly up to 10,000, with some examples.

        Raises InvalidOption.
        """
        return self._do(preview(verb, where, self.env))

    def bulk(
        self,
        verb: str,
        where: str,
        *,
        rate: float = RATE,
        expect: int | None = None,
        reason: str = "",
        signal: str | None = None,
        payload: Any = None,
        by: str | None = None,
    ) -> BulkInfo:
        """
        Apply *verb* to all runs that fit *where* and were submitted before now.

        *verb* is `cancel`, `retry`, `delete`, `resume`, `pause` or `signal` (with the name *signal*
        and a *payload*). *where* has conditions that must all hold, such as
        `state=failed runner=order error~timeout older=1h`. Workers carry it out, *rate* runs a
        second; `bulk_info` says how far it has come. Raises InvalidOption, InvalidName, and
        BulkGrown when a tenth more runs fit than *expect*.
        """
        who, options = name_of(by), {"reason": reason, "name": signal, "payload": payload}
        plan = begin(verb, where, self.env, by=who, rate=rate, expect=expect, options=options)
        return self._do(noted(plan, f"bulk {verb}", where, who, reason))

    def bulks(self, *, limit: int = 50) -> Sequence[BulkInfo]:
        """Give the bulks that are kept, the last one first."""
        return self._do(bulks(self.env, limit=limit))

    def bulk_info(self, bulk_id: str) -> BulkInfo:
        """Say how far a bulk has come; raises BulkNotFound."""
        return self._do(find(bulk_id, self.env))

    def stop_bulk(self, bulk_id: str, *, by: str | None = None) -> BulkInfo:
        """Have a bulk stop where it is; raises BulkNotFound."""
        return self._do(noted(stop(bulk_id, self.env), "stop-bulk", bulk_id, by))

    def resume_bulk(self, bulk_id: str, *, by: str | None = None) -> BulkInfo:
        """Have a stopped bulk go on where it stopped; raises BulkNotFound."""
        return self._do(noted(carry_again(bulk_id, self.env), "resume-bulk", bulk_id, by))


class AsyncBulks(AsyncDoing):
    """The bulk verbs, for `AsyncClient`."""

    async def preview(self, verb: str, where: str) -> Preview:
        """See Client.preview."""
        return await self._do(preview(verb, where, self.env))

    async def bulk(
        self,
        verb: str,
        where: str,
        *,
        rate: float = RATE,
        expect: int | None = None,
        reason: str = "",
        signal: str | None = None,
        payload: Any = None,
        by: str | None = None,
    ) -> BulkInfo:
        """See Client.bulk."""
        who, options = name_of(by), {"reason": reason, "name": signal, "payload": payload}
        plan = begin(verb, where, self.env, by=who, rate=rate, expect=expect, options=options)
        return await self._do(noted(plan, f"bulk {verb}", where, who, reason))

    async def bulks(self, *, limit: int = 50) -> Sequence[BulkInfo]:
        """See Client.bulks."""
        return await self._do(bulks(self.env, limit=limit))

    async def bulk_info(self, bulk_id: str) -> BulkInfo:
        """See Client.bulk_info."""
        return await self._do(find(bulk_id, self.env))

    async def stop_bulk(self, bulk_id: str, *, by: str | None = None) -> BulkInfo:
        """See Client.stop_bulk."""
        return await self._do(noted(stop(bulk_id, self.env), "stop-bulk", bulk_id, by))

    async def resume_bulk(self, bulk_id: str, *, by: str | None = None) -> BulkInfo:
        """See Client.resume_bulk."""
        return await self._do(noted(carry_again(bulk_id, self.env), "resume-bulk", bulk_id, by))

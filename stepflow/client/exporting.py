"""What both clients export: a run with all that is kept of it, a part at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime
from typing import Any

from stepflow.client.doing import AsyncDoing, Doing
from stepflow.client.hook_info import HookInfo, hook_info_of
from stepflow.engine.env import Env
from stepflow.engine.redeliver import hooks_of_run
from stepflow.engine.timeline.shown import Part
from stepflow.engine.timeline.whole import whole

#: deliveries of each end of a run
_HOOKS = 50


class Exporting(Doing):
    """What `Client` exports."""

    def export(self, run_id: str) -> Iterator[dict[str, Any]]:
        """
        Read all that is kept of the run, in parts of plain JSON values; raises RunNotFound.

        Each part has fields of one document: those of `history`, then `tags`, `record`, `steps`,
        `vars`, `mailbox`, `output` and `hooks`. A long list comes in several parts, the later of
        which go on with it. Of a live run they are of different moments. The secrets of webhooks
        are left out.
        """
        parts = whole(run_id, self.env)
        while (part := self._do(_next(parts))) is not None:
            yield part
        yield self._do(_hooks(run_id, self.env))


class AsyncExporting(AsyncDoing):
    """What `AsyncClient` exports."""

    async def export(self, run_id: str) -> AsyncIterator[dict[str, Any]]:
        """See Client.export; `async for part in client.export(run_id)`."""
        async with aclosing(whole(run_id, self.env)) as parts:
            while (part := await self._do(_next(parts))) is not None:
                yield part
        yield await self._do(_hooks(run_id, self.env))


async def _next(parts: AsyncGenerator[Part]) -> Part | None:
    """Give the next part as a plan of its own; None after the last."""
    return await anext(parts, None)


async def _hooks(run_id: str, env: Env) -> Part:
    """Give the deliveries of a run's hooks as a part."""
    records = await hooks_of_run(run_id, env, limit=_HOOKS)
    return {"hooks": [_plain(hook_info_of(record)) for record in records]}


def _plain(hook: HookInfo) -> dict[str, Any]:
    return {
        name: held.timestamp() if isinstance(held, datetime) else held
        for name, held in asdict(hook).items()
        if held is not None
    }

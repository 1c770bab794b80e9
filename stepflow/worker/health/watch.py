"""The watch over a worker's resources: it asks them how they are while the worker runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from stepflow.engine.user_code.calls import Threads, call, error_info, passes
from stepflow.engine.user_code.resources.health import Health, HealthState, worst
from stepflow.engine.user_code.resources.resource import Resource, supplier_of
from stepflow.errors import shown

log = logging.getLogger("stepflow.worker")

#: seconds between two looks, and while something is unhealthy
LOOK_S, UNHEALTHY_S = 5.0, 1.0
#: seconds that a health check has to answer
ANSWER_S = 5.0


class HealthWatch:
    """
    Asks *resources* how they are, and tells *on_health* the worst of it after each look.

    *worker* is the name for the log. A check that hangs is not called again before it has answered.
    """

    def __init__(
        self,
        worker: str,
        resources: Sequence[Resource[Any]],
        threads: Threads,
        on_health: Callable[[Health], None],
    ) -> None:
        self._worker = worker
        self._resources = resources
        self._threads = threads
        self._on_health = on_health
        self._asked: dict[Resource[Any], asyncio.Task[Health]] = {}
        self._health = Health()

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        try:
            while True:
                is_bad = self._health.state is HealthState.UNHEALTHY
                await asyncio.sleep(UNHEALTHY_S if is_bad else LOOK_S)
                await self.look()
        finally:
            for task in self._asked.values():
                task.cancel()

    async def look(self) -> None:
        """Ask all of them once."""
        for resource in self._resources:
            if resource not in self._asked:
                self._asked[resource] = asyncio.create_task(_ask(resource, self._threads))
        await asyncio.wait(self._asked.values(), timeout=ANSWER_S)
        found = worst({each.name: self._answer_of(each) for each in self._resources})
        before, self._health = self._health, found
        if found.state is not before.state:
            self._log(found)
        self._on_health(found)

    def _answer_of(self, resource: Resource[Any]) -> Health:
        asked = self._asked[resource]
        if not asked.done():
            return Health.unhealthy(f"its health check has not answered for {ANSWER_S:g} s")
        del self._asked[resource]
        if asked.cancelled():
            return Health.unhealthy("its health check was cancelled")
        return asked.result()

    def _log(self, health: Health) -> None:
        if health.state is HealthState.OK:
            log.info("worker %s is well again", self._worker)
        elif health.state is HealthState.DEGRADED:
            log.warning("worker %s is %s", self._worker, health)
        else:
            log.error("worker %s is %s; it takes nothing until it is better", self._worker, health)


async def _ask(resource: Resource[Any], threads: Threads) -> Health:
    """Call the health check of a resource; whatever it raises is an answer."""
    assert resource.check is not None
    try:
        value = await supplier_of(resource).value(resource)
        answer = await call(resource.check, (value,), {}, threads)
    except BaseException as error:
        if passes(error):
            raise
        return Health.unhealthy(error_info(error).summary)
    if answer is None:
        return Health.ok()
    if isinstance(answer, Health):
        return answer
    return Health.unhealthy(f"its health check returned {shown(answer)}; return a Health")

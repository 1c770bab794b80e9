"""What a hook has written, made ready for the one write that settles its delivery."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stepflow.core.run import RunOutcome
from stepflow.core.runner import DELETED
from stepflow.engine.env import Env
from stepflow.engine.hooks.context import HookContext
from stepflow.engine.insist import insist
from stepflow.engine.registry import Registry
from stepflow.engine.spec import RunSpec
from stepflow.engine.submit import Prepared, prepare
from stepflow.engine.versions import Versions
from stepflow.errors import RunConflict
from stepflow.store.calls import Part
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.hooks import HookRecord
from stepflow.store.run_hash import read_run
from stepflow.store.runs.of_hook import HookWrites, NewRun, Settled, settle_hook
from stepflow.store.values.codec import pack

log = logging.getLogger("stepflow.hook")


class Written:
    """Runs and values that a hook has written, all of which can be stored."""

    def __init__(
        self,
        specs: Sequence[RunSpec],
        prepared: Sequence[Prepared],
        deleted: Sequence[str],
        values: Sequence[Part],
        generation: int,
        registry: Registry,
        env: Env,
        connection: AsyncCaller,
    ) -> None:
        self._runs = list(zip(specs, prepared, strict=True))
        self._deleted = deleted
        self._values = values
        self._generation = generation
        self._registry = registry
        self._env = env
        self._connection = connection

    async def settle(self, record: HookRecord, fields: Sequence[Part]) -> str | None:
        """
        Settle the delivery, with all of this or with none.

        Gives why it could not be, None when it was. Runs that are there with the same input count
        as made.
        """
        while True:
            settled = await self._send(record, fields)
            if settled.taken is None:
                if settled.is_written and not settled.values_kept:
                    log.warning(
                        "hook=%s: the values that it wrote are dropped, for run %s is not kept any "
                        "more",
                        record.id,
                        record.run_id,
                    )
                if settled.is_written and self._registry.observers is not None:
                    made = [(spec, each.run.id) for spec, each in self._runs]
                    self._registry.observers.submitted(made, is_child=True)
                return None
            _, wanted = self._runs[settled.taken]
            there = read_run(wanted.run.id, settled.there or {}, self._env.keys)
            if (there.runner, there.digest) != (wanted.run.runner, wanted.run.digest):
                differs = "runner" if there.runner != wanted.run.runner else "input"
                return f"RunConflict: {RunConflict(there.id, differs, there.state)}"
            del self._runs[settled.taken]

    async def _send(self, record: HookRecord, fields: Sequence[Part]) -> Settled:
        runs = [NewRun(each.run, each.data, each.tags) for _, each in self._runs]
        writes = HookWrites(runs, self._deleted, self._values, self._generation)
        call = settle_hook(
            self._env.keys, record, writes, fields=fields,
            ttl_s=self._env.settings.retention.delivered_s,
        )  # fmt: skip
        return await insist(
            lambda: self._connection.call(call), f"hook={record.id} cannot be settled"
        )


async def prepare_writes(
    context: HookContext, outcome: RunOutcome, registry: Registry, env: Env, connection: AsyncCaller
) -> Written:
    """Make what a hook has written ready to be sent; raises UsageError for what cannot be."""
    versions = Versions(registry.newest, registry.limited)
    specs = (
        await carry_out(connection, versions.choose(context.specs, env)) if context.specs else []
    )
    limit = env.settings.limits.payload_bytes
    deleted = [key for key, value in context.kv.writes.items() if value is DELETED]
    values: list[Part] = []
    for key, value in context.kv.writes.items():
        if value is not DELETED:
            values += (key, pack(value, what=f"value {key!r}", limit=limit))
    prepared = [prepare(spec, env) for spec in specs]
    return Written(specs, prepared, deleted, values, outcome.generation, registry, env, connection)

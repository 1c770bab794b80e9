"""One delivery, popped by a stock RQ worker, from its claim to its commit."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stepflow.core.ids import split_member
from stepflow.engine.env import Env
from stepflow.engine.gate import member_of_delivery, one_by_one
from stepflow.engine.outbox import paused_hooks
from stepflow.engine.registry import Registry
from stepflow.engine.user_code.lifespan import all_opened
from stepflow.errors import UnknownRunner
from stepflow.store.claims import ClaimedDelivery, claim_one, load_record
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncCaller, AsyncConnection, carry_out
from stepflow.store.connection.server_check import check_format
from stepflow.store.durability.level import Durability
from stepflow.worker.connections import caller_over, callers_of, renewing_connection
from stepflow.worker.counting.report import CountReporter
from stepflow.worker.drive import begin
from stepflow.worker.notify import Deliver, NextWait, Notifier
from stepflow.worker.renew import Renewer
from stepflow.worker.state import WorkerState, ignore

log = logging.getLogger("stepflow.worker")


async def work_one(
    rq_id: str,
    name: str,
    address: Address,
    env: Env,
    registry: Registry,
    *,
    deliver: Deliver,
    next_wait: NextWait,
) -> bool:
    """
    Carry out the delivery *rq_id*, a step or a hook, and let the run go.

    False when its record does not wait for it. Raises UnknownRunner when this app does not know the
    runner: the delivery is lost then, and recovery brings it back.
    """
    env.stand_at(lambda: address)
    member = member_of_delivery(rq_id, env.keys)
    is_step = split_member(member)[0] == "run"
    async with (
        _connected(name, address, env, registry) as (connection, callers),
        all_opened(registry.lifespans),
        registry.resources.opened(),
    ):
        state = WorkerState(
            name, env, registry, connection, concurrency=1,
            paused_hooks=paused_hooks(registry),
        )  # fmt: skip
        state.callers = callers
        state.is_leaving = True  # it keeps no run past this step
        notifier = Notifier(
            env,
            connection,
            registry,
            deliver=deliver,
            next_wait=next_wait,
            threads=state.threads,
            counters=state.counters,
            on_due=ignore,
        )
        renewing = renewing_connection(address, env.settings.worker.lease_s)
        renewer = Renewer(state, renewing, others=notifier.claims)
        try:
            taken = await _claim(rq_id, member, state, is_step=is_step) if member else None
            if taken is None:
                log.info("%s is not waited for any more; nothing to do", rq_id)
                return False
            renewer.start()
            if is_step:
                begin(taken, state)
                await state.until_idle()
            else:
                notifier.start(taken)
                await notifier.slots.wait_idle()
            with one_by_one("what was counted could not be sent"):
                await CountReporter(state.counters, env, connection, worker=name).send()
            return True
        finally:
            state.end()
            renewer.stop()
            renewing.close()


@asynccontextmanager
async def _connected(
    name: str, address: Address, env: Env, registry: Registry
) -> AsyncIterator[tuple[AsyncCaller, dict[Durability, AsyncCaller]]]:
    """Open a connection to a server whose data format is ours, and close it at the end."""
    connection = AsyncConnection(address, name=name)
    await connection.open()
    try:
        await carry_out(connection, check_format(env.keys))
        async with callers_of(registry, connection, address, name, env) as callers:
            yield await caller_over(connection, env, env.settings.durability), callers
    finally:
        await connection.close()


async def _claim(
    rq_id: str, member: str, state: WorkerState, *, is_step: bool
) -> ClaimedDelivery | None:
    """Claim the delivery; None when its record does not wait for it. Raises UnknownRunner."""
    env, runners = state.env, state.registry.runners
    row = await state.connection.call(load_record(env.keys, member))
    runner, queue = (
        row.get(field, b"").decode("utf-8", "replace") for field in (b"runner", b"queue")
    )
    if row and is_step and runner not in runners:
        raise UnknownRunner(runner, list(runners))
    taken = await state.connection.call(
        claim_one(
            env.keys, member, rq_id, f"{state.name}.0.", queue, given=env.clock.given,
            lease_s=env.settings.worker.lease_s,
        )
    )  # fmt: skip
    if taken is not None and taken.token:
        # RQ cleans up the job it popped; recovery, should this process die, knows it by the record
        taken.row[b"claimed_id"] = b""
    return taken

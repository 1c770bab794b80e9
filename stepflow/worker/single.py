"""One delivery, popped by a stock RQ worker, from its claim to its commit."""

from __future__ import annotations

import logging

from stepflow.core.ids import Delivery
from stepflow.engine.env import Env
from stepflow.engine.outbox import app_hooks
from stepflow.engine.registry import Registry
from stepflow.errors import UnknownRunner
from stepflow.store.claims import claim_one, load_record
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncConnection, carry_out
from stepflow.store.server_check import check_format
from stepflow.worker.connections import renewing_link
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

    False when its record does not wait for it.

    Raises UnknownRunner when this app does not know the runner: the knock is lost then, and
    recovery brings it back.
    """
    keys = env.keys
    ours = rq_id.removeprefix(keys.job_prefix)
    delivery = Delivery.parse(ours)
    member = (
        f"run:{delivery.run_id}"
        if delivery is not None
        else f"hook:{ours.removeprefix('hook-').rpartition('-r')[0] or ours.removeprefix('hook-')}"
    )
    link = AsyncConnection(address, name=name)
    await link.open()
    try:
        await carry_out(link, check_format(keys))
    except BaseException:
        await link.close()
        raise
    renewer_link = renewing_link(address, env.settings.worker.lease_s)
    worker_state = WorkerState(
        name, env, registry, link, concurrency=1, app_hooks=app_hooks(registry)
    )
    worker_state.must_let_go = True
    notifier = Notifier(
        env,
        link,
        registry,
        deliver=deliver,
        next_wait=next_wait,
        threads=worker_state.threads,
        on_due=ignore,
    )
    renewer = Renewer(worker_state, renewer_link)
    renewer.others = notifier.claims
    try:
        row = await link.call(load_record(keys, member))
        runner, queue = (
            row.get(name, b"").decode("utf-8", "replace") for name in (b"runner", b"queue")
        )
        if row and delivery is not None and runner not in registry.runners:
            raise UnknownRunner(runner, list(registry.runners))
        lease_s = env.settings.worker.lease_s
        taken = await link.call(
            claim_one(
                keys, member, rq_id, f"{name}.0.", queue, given=env.clock.given, lease_s=lease_s
            )
        )
        if taken is None:
            log.info("%s is not waited for any more; nothing to do", rq_id)
            return False
        # RQ cleans up the job it popped; recovery, should this process die, knows it by the record
        if taken.token:
            taken.row[b"claimed_id"] = b""
        renewer.start()
        if delivery is not None:
            begin(taken, worker_state)
            await worker_state.until_idle()
        else:
            notifier.start(taken)
            await notifier.slots.wait_idle()
        return True
    finally:
        worker_state.end()
        renewer.stop()
        renewer_link.close()
        await link.close()

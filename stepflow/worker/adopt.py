"""
Adoption: a worker takes up claims of its own that it does not know of.

The reply that would have told it was lost.
"""

from __future__ import annotations

import logging

from stepflow.core.ids import split_member
from stepflow.engine.gate import member_of_delivery, one_by_one
from stepflow.store.claims import ClaimedDelivery, load_record
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.durability.level import UNCONFIRMED
from stepflow.worker.drive import begin
from stepflow.worker.notify import Notifier
from stepflow.worker.recover import claims_of
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.worker")


async def adopt(
    worker: str, worker_state: WorkerState, notifier: Notifier, connection: AsyncCaller
) -> None:
    """
    Take up the unknown claims of *worker*; a failure with one stops no other.

    Where they cannot be looked for, that is logged: they are recovered when their leases run out.
    """
    with one_by_one("claims whose reply was lost"):
        for member, token in await carry_out(connection, claims_of(worker, worker_state.env)):
            with one_by_one(f"claim of {member}"):
                await _adopt_one(member, token, worker_state, notifier, connection)


async def _adopt_one(
    member: str, token: str, worker_state: WorkerState, notifier: Notifier, connection: AsyncCaller
) -> None:
    keys = worker_state.env.keys
    kind, name = split_member(member)
    if name in worker_state.runs or notifier.has_claimed(name):
        return
    row, data = await connection.calls(
        [load_record(keys, member), load_record(keys, f"{member}:data")]
    )
    if (
        name in worker_state.runs
        or notifier.has_claimed(name)
        or row.get(b"token", b"") != token.encode()
    ):
        return
    taken = ClaimedDelivery(
        row.get(b"claimed_id", b"").decode("utf-8", "replace"), token, row, data
    )
    if worker_state.env.settings.durability not in UNCONFIRMED:
        from stepflow.store.durability.async_ import confirm  # noqa: PLC0415  few wait for it

        await confirm(connection)  # what went before the step must last before it begins
        if name in worker_state.runs or notifier.has_claimed(name):
            return
    if member_of_delivery(taken.rq_id, keys) != member:
        return  # a damaged record: its lease runs out, and recovery looks at it
    log.info("%s:%s: claim %s taken up, its reply had been lost", keys.namespace, member, token)
    if kind == "hook":
        notifier.start(taken)
    else:
        begin(taken, worker_state)

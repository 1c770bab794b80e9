"""claim: a worker takes the exclusive, expiring right to settle steps, a batch at a time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from stepflow.core.ids import Delivery
from stepflow.core.run import Run
from stepflow.engine.hold import Hold
from stepflow.engine.spec import NOTHING_GIVEN, read_given
from stepflow.store.claims import Taken
from stepflow.store.codec import unpack
from stepflow.store.keys import Keys
from stepflow.store.rows import read_run

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry

log = logging.getLogger("stepflow.run")


def run_of(taken: Taken, keys: Keys) -> Run:
    """Read the run that a claim brought."""
    delivery = Delivery.parse(taken.rq_id.removeprefix(keys.job_prefix))
    assert delivery is not None, taken.rq_id
    return read_run(delivery.run_id, taken.row, keys)


def hold_of(taken: Taken, registry: Registry, keys: Keys) -> Hold:
    """
    Make the hold of a claimed step; the claim script saw to it that this worker knows the runner.

    Data that cannot be read fails the run, not the worker.
    """
    run, data = run_of(taken, keys), taken.data
    entry, given = registry.runners[run.runner_key], NOTHING_GIVEN
    try:
        given = read_given(data.get(b"spec"))
        return Hold(run, entry, given, unpack(data.get(b"payload", b"")))
    except Exception as error:  # noqa: BLE001  also what a later version wrote: a policy with fields unknown here
        hold = Hold(run, entry, given, None)
        hold.unreadable = error
        return hold


def hook_id_of(taken: Taken, keys: Keys) -> str:
    """Read the hook id that a claimed delivery of a hook belongs to."""
    name = taken.rq_id.removeprefix(keys.job_prefix).removeprefix("hook-")
    head, dash, tail = name.rpartition("-r")
    return head if dash and tail.isdigit() else name

"""claim: a worker takes the exclusive, expiring right to settle steps, a batch at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stepflow.core.run import Run
from stepflow.engine.gate import member_of_delivery
from stepflow.engine.hold import Hold
from stepflow.engine.spec import NOTHING_GIVEN, read_given
from stepflow.errors import StepflowError, UnreadableRecord
from stepflow.store.calls import NO_HASH
from stepflow.store.claims import Taken
from stepflow.store.codec import unpack
from stepflow.store.keys import Keys
from stepflow.store.rows import read_run

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry

log = logging.getLogger("stepflow.run")


def run_of(taken: Taken, keys: Keys) -> Run:
    """Read the run that a claim brought."""
    return read_run(member_of_delivery(taken.rq_id, keys).removeprefix("run:"), taken.row, keys)


def hold_of(run: Run, data: Mapping[bytes, bytes], registry: Registry) -> Hold:
    """
    Make the hold of a claimed step; the claim script saw to it that this worker knows the runner.

    Data that cannot be read pauses the run: somebody may repair it, or a later version can read it.
    """
    entry, given = registry.runners[run.runner_key], NOTHING_GIVEN
    try:
        if data is NO_HASH:
            raise UnreadableRecord.of_run(run.id, "its data is no hash")
        given = read_given(data.get(b"spec"))
        return Hold(run, entry, given, unpack(data.get(b"payload", b"")))
    except StepflowError as error:
        hold = Hold(run, entry, given, None)
        hold.unreadable = error
        return hold


def hook_id_of(taken: Taken, keys: Keys) -> str:
    """Read the hook id that a claimed delivery of a hook belongs to."""
    return member_of_delivery(taken.rq_id, keys).removeprefix("hook:")

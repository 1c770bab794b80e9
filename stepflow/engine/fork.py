"""
fork: a new run with another's runner, input and journal up to a step.

That step and all after it run anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stepflow.core.ids import Delivery, check_run_id, check_text, new_run_id
from stepflow.core.journal import before_end, find_step, place_of, step_names
from stepflow.core.run import Cleanup, Run, RunState
from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.engine.kept import KeptData
from stepflow.engine.spec import without_parent
from stepflow.engine.submit import Submitted
from stepflow.engine.timeline.prompts import prompt_fields, prompts_in
from stepflow.errors import RunConflict, RunNotFound, UnknownStep
from stepflow.store.calls import Part, batch
from stepflow.store.children import load_all_answers
from stepflow.store.fork import submit_fork
from stepflow.store.journal import load_journal
from stepflow.store.run_hash import format_time
from stepflow.store.runs import load_data, load_run
from stepflow.store.values import offloaded
from stepflow.store.values.codec import pack
from stepflow.store.values.digest import digest
from stepflow.store.values.offloaded import share_with


class _SameInput:
    """Stands for the input that the run has."""

    def __repr__(self) -> str:
        return "SAME_INPUT"


#: for a fork that has the input of the run it is made from
SAME_INPUT: Any = _SameInput()


async def fork(
    run_id: str,
    at: str,
    env: Env,
    *,
    new_id: str | None = None,
    version: int | None = None,
    payload: Any = SAME_INPUT,
) -> Submitted:
    """
    Make a new run out of run *run_id*, which may be in any state and stays as it is.

    *at* is the name, place or key of a step; of several with that name, the first. Steps that ran
    because the run was stopped, and compensations, do not count. *version* replaces the workflow's
    version, *payload* its input. The same fork again finds the same run. Raises RunNotFound,
    UnknownStep, and RunConflict when anything else has the id *new_id*.
    """
    check_text("the step to fork at", at, most=1000)
    new_id = (
        new_run_id(env.clock.now(), secrets.randbits(80))
        if new_id is None
        else check_run_id(new_id)
    )
    request = env.request_id()
    while True:
        source, data, whole = await batch(
            load_run(env.keys, run_id),
            load_data(env.keys, run_id),
            load_journal(env.keys, run_id),
        )
        if source is None:
            raise RunNotFound(run_id)
        check_readable(source)
        journal = before_end(whole)
        index = find_step(journal, at)
        if index is None:
            raise UnknownStep(run_id, at, step_names(journal))
        run = forked(source, new_id, env, logged=index > 0)
        run.version = version or source.version
        prompts = await prompts_in(source, journal[:index], env)
        place = place_of(journal[index])
        mark = f"{run_id}.{source.generation}|{place}|{run.version}".encode()
        if payload is not SAME_INPUT:
            limit = env.settings.limits.payload_bytes
            data = {**data, b"payload": pack(payload, what="the payload", limit=limit)}
            run.digest = digest(run.runner, payload)
            mark += b"|" + run.digest.hex().encode()
        told = {} if offloaded.in_use is None else await load_all_answers(env.keys, source)
        share_with(new_id, [*journal[:index], data.get(b"payload", b""), *told.values()])
        row = await submit_fork(
            env.keys, run, source, index, journal[index], request=request, data=_kept(data, mark),
            tags=[f"{key}={value}" for key, value in KeptData(data, source).tags().items()],
            prompts=prompt_fields(run, journal[:index], prompts),
        )  # fmt: skip
        if row is None:
            return Submitted(new_id, created=True)
        if row:
            there = await load_data(env.keys, new_id)
            if there.get(b"forked") != mark:
                raise RunConflict(new_id, "origin", row.get(b"state", b"there").decode())
            return Submitted(new_id, created=False)


def forked(source: Run, new_id: str, env: Env, *, logged: bool) -> Run:
    """Make the new run's record: what *source* was submitted with, and where it comes from."""
    now = env.clock.now()
    return replace(
        source, id=new_id, state=RunState.PENDING, rev=1, generation=0, step=0, failures=0,
        crashes=0, handoff=0, delivery=env.keys.rq_id(Delivery(new_id, 0, 0)), due_at=0.0, token="",
        claimed_rq_id="", stop=None, ends=0, created_at=now, started_at=0.0, updated_at=0.0,
        ended_at=0.0, unroutable_since=0.0, inbox=0, has_journal=logged, waits_for="",
        cleanup=Cleanup.NEEDED if source.cleanup and logged else Cleanup.NONE,
        deadline_at=now + source.deadline_at - source.created_at if source.deadline_at else 0.0,
        schedule="", group="", once="", origin=f"{source.seed}|{format_time(source.began_at)}",
    )  # fmt: skip


def _kept(data: Mapping[bytes, bytes], mark: bytes) -> list[Part]:
    """Give the data of the new run: input and options as they are, and where it was forked."""
    kept: list[Part] = ["forked", mark]
    if b"payload" in data:
        kept += ("payload", data[b"payload"])
    spec = without_parent(data.get(b"spec", b""))
    return [*kept, "spec", spec] if spec else kept

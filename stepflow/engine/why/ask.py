"""Ask why runs stand: read the facts and explain them."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from stepflow.core.run import RunStatus
from stepflow.engine.env import Env
from stepflow.engine.why.explain import explain
from stepflow.engine.why.model import Why, WhyWord
from stepflow.engine.why.read import read_facts
from stepflow.store.calls import Plan

#: seconds between two looks at a run that looks broken
LOOK_AGAIN_S = 1.1
#: such looks: a run that is broken does not move, so the second has settled it as a rule
_LOOKS = 5


async def ask(run_id: str, env: Env, *, with_defects: bool = True) -> Why:
    """
    Say why one run stands where it stands, by one look.

    That may say `broken` of what was only read in the middle of a move: see `settle`.
    """
    [facts] = await read_facts([run_id], env)
    return explain(facts, with_defects=with_defects)


async def ask_many(run_ids: Sequence[str], env: Env) -> list[Why]:
    """Say why runs stand where they stand, without their children, in two round trips or three."""
    if not run_ids:
        return []
    found = await read_facts(run_ids, env, levels=0)
    return [explain(facts, with_defects=False) for facts in found]


def where_it_stands(run: RunStatus, why: Why | None) -> str:
    """
    Say in a line of a list where a run stands, or what became of it.

    *why* is None for one that has ended, and where nobody could look any closer.
    """
    if run.unreadable:
        return f"unreadable: {run.unreadable}"
    if run.is_finished:
        error = run.error
        return (f"{error.type}: {error.message}" if error is not None else run.reason) or ""
    if why is not None:
        return why.sentence
    return run.worker or run.waits_for or ""


def settle(run_id: str, env: Env) -> Generator[Plan[Why], Why, Why]:
    """
    Say why a run stands, sure of it: yields plans, each a look, takes what came of them.

    Wait LOOK_AGAIN_S before each plan but the first. A run counts as broken when two looks find the
    same, and it has not moved between them.
    """
    before: Why | None = None
    for _ in range(_LOOKS):
        why = yield ask(run_id, env)
        if why.word is not WhyWord.BROKEN:
            return why
        if before is not None and _mark(before) == _mark(why):
            return why
        before = why
    return (yield ask(run_id, env, with_defects=False))


def _mark(why: Why) -> tuple[object, ...]:
    return why.code, why.evidence.get("rev"), why.evidence.get("state")

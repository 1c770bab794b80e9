"""Runs that a circuit breaker holds up, or that wait for what another run computes."""

from __future__ import annotations

from stepflow.core.run import Run
from stepflow.engine.why.facts import Facts
from stepflow.engine.why.look import Calls, Look
from stepflow.engine.why.make import cancelling, make
from stepflow.engine.why.model import Why
from stepflow.engine.why.words import moment
from stepflow.shell import to_type
from stepflow.store.keys import Keys

#: how a record begins to say that its run waits for a breaker, and for a shared value
BREAKER, SHARED = "breaker ", "shared "


def read_breakers(look: Look, run: Run, keys: Keys) -> Calls:
    """Read the breakers that a run waits for; most wait for none."""
    names = {command.awaited_id for command in look.commands} | {run.waits_for}
    found = [name for name in names if name.startswith(BREAKER)]
    if not found:
        return {}
    from stepflow.store.breakers.record import load_breaker  # noqa: PLC0415  wanted by few

    return {name: load_breaker(keys, name.removeprefix(BREAKER)) for name in found}


def tell_breaker(facts: Facts, waits_for: str) -> str:
    """Say how the breaker stands that a run waits for: `breaker stripe is open until 02:11`."""
    record, now = facts.breakers.get(waits_for), facts.world.now
    if record is None or not record.is_open:
        return f"{waits_for} is closed again, and lets those that waited come back by and by"
    from stepflow.engine.breakers.info import why_open  # noqa: PLC0415  wanted by few

    why = f" {found}" if (found := why_open(record)) else ""
    if record.until and record.until <= now:
        return f"{waits_for} lets trials through only, since {moment(record.until, now)}{why}"
    until = moment(record.until, now) if record.until else "it is closed by hand"
    return f"{waits_for} is open until {until}{why}"


def held(facts: Facts, run: Run, waits_for: str, due_at: float) -> Why:
    """Explain a run that waits for a breaker, and for nothing else."""
    record = facts.breakers.get(waits_for)
    name = waits_for.removeprefix(BREAKER)
    return make(
        facts, "held.breaker", tell_breaker(facts, waits_for), since=run.updated_at, until=due_at,
        moved_by="a trial that succeeds, or somebody who closes the breaker",
        commands=[to_type("breakers close", name), cancelling(facts)],
        evidence={
            "breaker": name, "due": due_at or None,
            "until": record.until if record is not None else None,
            "error": record.error if record is not None else None,
        },
    )  # fmt: skip


def tell_value(waits_for: str) -> str:
    """Say which value a run waits for."""
    return f"waits for the value of {waits_for.removeprefix(SHARED)!r} that another run computes"


def waiting_for_value(facts: Facts, run: Run, waits_for: str, due_at: float) -> Why:
    """Explain a run that waits for a value, and for nothing else."""
    name = waits_for.removeprefix(SHARED)
    return make(
        facts, "waiting.value", f"it {tell_value(waits_for)}", since=run.updated_at, until=due_at,
        moved_by="the run that computes it",
        commands=[cancelling(facts)], evidence={"name": name, "due": due_at or None},
    )  # fmt: skip

"""Runs that wait in the line of a limit, or whose steps do."""

from __future__ import annotations

from stepflow.core.limits.limit import rate_text
from stepflow.core.limits.use import run_of_place
from stepflow.core.run import Run
from stepflow.engine.why.facts import Facts, Line
from stepflow.engine.why.make import cancelling, make
from stepflow.engine.why.model import Why
from stepflow.engine.why.words import count, moment, ordinal
from stepflow.shell import to_type

#: holders of slots that a sentence names
_NAMED = 3


def in_line(facts: Facts, run: Run, line: Line) -> Why:
    """Explain a run that waits in *line*."""
    now, who = facts.world.now, f"its step {line.step!r}" if line.step else "it"
    if line.length == 1:
        where = f"{who} waits in line for limit {line.label}"
    else:
        place = ordinal(line.position + 1)
        where = f"{who} is the {place} of {line.length:,} in line for limit {line.label}"
    evidence = {
        "limit": line.label, "position": line.position, "length": line.length,
        "concurrency": line.concurrency, "slots": line.slots, "interval": line.interval or None,
        "holders": [
            {"run": run_of_place(each), "since": since} for each, since in line.holders
        ],
        "attempt": run.failures + 1, **({"step": line.step} if line.step else {}),
    }  # fmt: skip
    show = [to_type("limits show", line.label), cancelling(facts)]
    if line.rests_until > now:
        return make(
            facts, "held.rate", f"{where}, which rests until {moment(line.rests_until, now)}",
            since=line.since, until=line.rests_until, moved_by="the end of that rest",
            commands=show, evidence=evidence,
        )  # fmt: skip
    if line.concurrency is not None and line.slots >= line.concurrency:
        slots = count(line.concurrency, "slot is", "slots are")
        all_ = f"{slots} taken" if line.concurrency == 1 else f"all {slots} taken"
        return make(
            facts, "held.slot", f"{where}; {all_}{_holders(line, now)}", since=line.since,
            moved_by="whoever gives a slot back", commands=show, evidence=evidence,
        )  # fmt: skip
    if line.interval and line.next_at:
        mine = line.next_at + line.position * line.interval
        first = "it" if line.position == 0 else "the next one"
        return make(
            facts, "held.rate",
            f"{where}, of which {rate_text(line.interval)} begin; {first} may at "
            f"{moment(line.next_at, now)}", since=line.since, until=mine,
            moved_by="a worker's timer", commands=show, evidence=evidence,
        )  # fmt: skip
    return make(
        facts, "held.slot", f"{where}; a slot is free, and its turn comes within a second",
        since=line.since, moved_by="the next round of a worker", commands=show, evidence=evidence,
    )  # fmt: skip


def _holders(line: Line, now: float) -> str:
    """Name those that have had their slots the longest, and count the others."""
    if not line.holders:
        return ""
    named = [
        f"{run_of_place(each)} since {moment(since, now)}" for each, since in line.holders[:_NAMED]
    ]
    others = line.slots - len(named)
    return f": {', '.join(named)}" + (f" and {others:,} more" if others > 0 else "")

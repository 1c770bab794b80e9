"""Runs that are parked: until a time, a signal, an answer, the end of a child."""

from __future__ import annotations

import re
from typing import Any

from stepflow.core.open_command import OpenCommand
from stepflow.core.run import Run
from stepflow.engine.why.around.breakers import (
    BREAKER,
    SHARED,
    held,
    tell_breaker,
    tell_value,
    waiting_for_value,
)
from stepflow.engine.why.around.budgets import BUDGET, held_by_budget, tell_budget
from stepflow.engine.why.around.limits import LIMIT, tell_limit
from stepflow.engine.why.facts import Facts, Turn
from stepflow.engine.why.held import in_line
from stepflow.engine.why.make import cancelling, make
from stepflow.engine.why.model import Why
from stepflow.engine.why.words import count, listed, moment, ordinal
from stepflow.shell import to_type

#: commands that a sentence names
_NAMED = 3
#: what records of the version before say that they wait for, and the kind of that
_KINDS = (
    ("signal ", "signal"), ("an answer to ", "question"), ("child ", "child"), ("map ", "map"),
    ("children ", "children"), ("step ", "step"), ("batch ", "batch"),
    ("a timer of its code", "timer"),
)  # fmt: skip
_CODES = {
    "sleep": "waiting.time", "signal": "waiting.signal", "question": "waiting.ask",
    "child": "waiting.child", "map": "waiting.map", "children": "waiting.child",
    "step": "waiting.retry", "batch": "waiting.retry", "timer": "waiting.time",
}  # fmt: skip


def waiting(facts: Facts, run: Run, child: Why | None) -> Why:
    """Explain a parked run; *child* is why the child stands that it waits for."""
    commands = facts.awaited.commands or _told_by_record(run)
    due_at = facts.indexes.due_at or run.due_at
    evidence: dict[str, Any] = {
        "due": due_at or None, "waits": [[one.kind, one.name, one.place] for one in commands],
    }  # fmt: skip
    if not commands:
        return make(
            facts, "waiting.time", f"it sleeps until {moment(due_at, facts.world.now)}",
            since=run.updated_at, until=due_at, moved_by="a worker's timer",
            commands=[cancelling(facts)], evidence=evidence,
        )  # fmt: skip
    if len(commands) == 1 and commands[0].awaited_id.startswith(BREAKER):
        return held(facts, run, commands[0].awaited_id, commands[0].due_at or due_at)
    if len(commands) == 1 and commands[0].awaited_id.startswith(BUDGET):
        due_at = commands[0].due_at or due_at
        return held_by_budget(facts, run, commands[0].awaited_id, due_at)
    if len(commands) == 1 and commands[0].awaited_id.startswith(SHARED):
        due_at = commands[0].due_at or due_at
        return waiting_for_value(facts, run, commands[0].awaited_id, due_at)
    awaited = {one.awaited_id for one in commands}
    if len(awaited) == 1 and commands[0].awaited_id in facts.lines:
        return in_line(facts, run, facts.lines[commands[0].awaited_id])
    told = [_tell(facts, one, child if index == 0 else None) for index, one in enumerate(commands)]
    if len(commands) == 1:
        [(sentence, moved_by, typed)] = told
        return make(
            facts, _CODES.get(commands[0].kind, "waiting.time"), f"it {sentence}",
            since=run.updated_at, until=commands[0].due_at or due_at, moved_by=moved_by,
            commands=typed or [cancelling(facts)], evidence={**evidence, **_seen(facts)},
            child=child,
        )  # fmt: skip
    sentences = [sentence.removeprefix("waits for ") for sentence, _, _ in told]
    typed = [text for _, _, texts in told for text in texts]
    return make(
        facts, "waiting.any",
        f"it waits for the first of {len(commands)}: {listed(sentences, most=_NAMED, joined='; ')}",
        since=run.updated_at, until=due_at, moved_by="whichever comes first",
        commands=typed or [cancelling(facts)], evidence={**evidence, **_seen(facts)}, child=child,
    )  # fmt: skip


def _told_by_record(run: Run) -> list[OpenCommand]:
    """Read what a run waits for from its words, where nothing else says it."""
    for start, kind in _KINDS:
        if run.waits_for.startswith(start):
            name = run.waits_for.removeprefix(start)
            names = re.findall(r"'([^']*)'", name) if kind == "signal" else []
            return [OpenCommand(kind, "", ",".join(names) or name, run.due_at)]
    return []


def _seen(facts: Facts) -> dict[str, Any]:
    awaited = facts.awaited
    return {
        "mailbox": list(awaited.mail), "questions": [*awaited.questions],
        "children": awaited.children,
    }  # fmt: skip


def _tell(facts: Facts, one: OpenCommand, child: Why | None) -> tuple[str, str, list[str]]:
    """Say what one command waits for, what moves it, and what you can type."""
    now = facts.world.now
    until = f", until {moment(one.due_at, now)}" if one.due_at else ""
    match one.kind:
        case "timer":
            text = f"has a timer in its code until {moment(one.due_at, now)}"
            return text, "a worker's timer", []
        case "sleep":
            return f"sleeps until {moment(one.due_at, now)}", "a worker's timer", []
        case "signal":
            return _tell_signal(facts, one, until)
        case "question":
            return _tell_question(facts, one, until)
        case "step" | "batch":
            return (*_tell_step(facts, one), [])
        case "map":
            return _tell_map(facts, one, child)
        case "children":
            left = count(facts.awaited.children, "child", "children")
            return f"waits for {left} to end", "the end of its children", []
    return _tell_child(one, child)


def _tell_step(facts: Facts, one: OpenCommand) -> tuple[str, str]:
    """Say what a step or a batch waits for, and what moves it."""
    awaited, name = one.awaited_id, one.name
    if awaited.startswith(BREAKER):
        text = f"tries step {name!r} again when it may: {tell_breaker(facts, awaited)}"
        return text, "a trial that succeeds"
    if awaited.startswith(BUDGET):
        text = f"waits for room: {tell_budget(facts, awaited, one.due_at)}"
        return text, "somebody who raises the budget"
    if awaited.startswith(LIMIT):
        return tell_limit(facts, awaited), "whoever gives a slot back"
    if awaited.startswith(SHARED):
        return tell_value(awaited), "the run that computes it"
    what = f"step {name!r}" if one.kind == "step" else f"items of batch {name}"
    last = f"; the last attempt failed: {one.last_error}" if one.last_error else ""
    return f"tries {what} again at {moment(one.due_at, facts.world.now)}{last}", "a worker's timer"


def _tell_signal(facts: Facts, one: OpenCommand, until: str) -> tuple[str, str, list[str]]:
    names = one.name.split(",")
    others = sorted({name for name in facts.awaited.mail if name not in names})
    mail = len([name for name in facts.awaited.mail if name not in names])
    held = f"; its mailbox holds {mail} of other names: {listed(others)}" if others else ""
    wanted = " or ".join(_signal(facts, name) for name in names)
    _, example = facts.awaited.signals.get(names[0], ("", ""))
    typed = to_type("signal", facts.run_id, names[0], *([example] if example else []))
    return f"waits for signal {wanted}{until}{held}", "a signal", [typed]


def _signal(facts: Facts, name: str) -> str:
    kind, _ = facts.awaited.signals.get(name, ("", ""))
    return f"{name!r} ({kind})" if kind else repr(name)


def _tell_question(facts: Facts, one: OpenCommand, until: str) -> tuple[str, str, list[str]]:
    prompt, kind, example = facts.awaited.questions.get(one.awaited_id, ("", "", ""))
    what = f"{prompt!r} ({kind or 'any JSON'})" if prompt else "its question"
    told = f"waits for somebody to answer {what}{until}"
    if not one.awaited_id:
        return told, "an answer", []
    token = f"{facts.run_id}.{one.awaited_id}"
    return told, "an answer", [to_type("answer", token, example or "JSON")]


def _tell_child(one: OpenCommand, child: Why | None) -> tuple[str, str, list[str]]:
    name = one.awaited_id or one.name
    if child is None:
        typed = [to_type("why", name)] if one.awaited_id else []
        return f"waits for child {name}", "the end of the child", typed
    text = f"waits for child {name}, which is {child.word}: {child.sentence}"
    return text, "the end of the child", list(child.commands)


def _tell_map(facts: Facts, one: OpenCommand, child: Why | None) -> tuple[str, str, list[str]]:
    counts = facts.awaited.maps.get(one.awaited_id)
    far = ""
    if counts is not None and counts.total:
        ended = counts.succeeded + counts.failed
        bad = f", {counts.failed:,} of them not well" if counts.failed else ""
        far = f": {ended:,} of {counts.total:,} children have ended{bad}"
    oldest = f"; child {child.run_id} is {child.word}: {child.sentence}" if child else ""
    typed = list(child.commands) if child is not None else []
    return f"waits for map {one.name}{far}{oldest}", "the ends of its children", typed


def turn(facts: Facts, place: Turn) -> Why:
    """Explain a child that waits for its turn in the map of its parent."""
    counts = place.counts
    at_work = max(0, counts.next - counts.succeeded - counts.failed)
    nth = ordinal(max(1, place.index - counts.next + 1))
    total = f" of {counts.total:,}" if counts.total else ""
    return make(
        facts, "waiting.turn",
        f"it is child {place.index}{total} in a map of run {place.parent_id} and {nth} in line; "
        f"{count(at_work, 'child is', 'children are')} at work",
        since=facts.run.created_at if facts.run is not None else 0.0,
        moved_by="the end of another child", commands=[to_type("why", place.parent_id)],
        evidence={
            "parent": place.parent_id, "index": place.index, "next": counts.next,
            "ended": counts.succeeded + counts.failed, "total": counts.total,
        },
    )  # fmt: skip

"""
States that no script writes: what the record says and what the indexes hold do not fit.

Workers put most of them right themselves while they go through all live runs, which takes five
minutes at most; `stepflow doctor --repair` does at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.core.run import Run, RunState
from stepflow.engine.why.facts import Facts, Turn
from stepflow.engine.why.make import make
from stepflow.engine.why.model import Why
from stepflow.shell import to_type

#: who mends a defect
_SLOWLY = "a live worker, within five minutes; stepflow doctor --repair at once"
_BY_HAND = "stepflow doctor --repair"


def defect(facts: Facts) -> Why | None:
    """Give what is wrong with where a run stands; None for a run that is as it should be."""
    run = facts.run
    if run is None:
        return None
    if run.is_finished:
        return _broken(
            facts, "X10", "it has ended, and a hook of it stands in no queue", _BY_HAND,
            {"hooks": list(facts.lost_hooks)},
        ) if facts.lost_hooks else None  # fmt: skip
    if run.damage:
        return None
    if run.is_claimed:
        found = _claimed(facts, run)
    else:
        match run.state:
            case RunState.PENDING:
                found = _pending(facts, run)
            case RunState.SCHEDULED:
                found = _due(facts, run)
            case RunState.WAITING:
                found = _waiting(facts, run)
            case _:
                found = None
    return found or _of_indexes(facts, run)


def _broken(
    facts: Facts, code: str, sentence: str, moved_by: str, evidence: Mapping[str, Any]
) -> Why:
    run = facts.run
    return make(
        facts, code, sentence, since=0.0 if run is None else run.updated_at, moved_by=moved_by,
        commands=[to_type("doctor", facts.run_id, options=("--repair",))], evidence=evidence,
    )  # fmt: skip


def _claimed(facts: Facts, run: Run) -> Why | None:
    if facts.indexes.lease_at is not None:
        return None
    return _broken(
        facts, "X1", "it counts as running, and no claim of it is kept: nobody sees its worker go",
        _SLOWLY, {"token": run.token, "lease": None},
    )  # fmt: skip


def _pending(facts: Facts, run: Run) -> Why | None:
    place = facts.place
    evidence = {"delivery": run.delivery, "queue": place.rq_queue, "queued_at": place.queued_at}
    if place.waiting_position is not None:
        if place.is_listed:
            return None
        return _broken(
            facts, "X3", "it waits for a worker that knows its runner, in a list that nobody reads",
            _BY_HAND, evidence,
        )  # fmt: skip
    if facts.line is not None:
        return None
    if place.lane_position is not None:
        if place.has_turn:
            return None
        return _broken(
            facts, "X20", f"lane {place.lane!r}, in which it waits, takes no turns", _SLOWLY,
            {**evidence, "lane": place.lane},
        )  # fmt: skip
    stands = place.position is not None or place.queued_at is not None or not place.is_searched
    if stands or facts.indexes.due_at is not None:
        return None
    if run.unroutable_since and place.waiting_length == 0:
        return _broken(
            facts, "X3", "no worker that came by knew its runner, and it stands in no waiting list",
            _BY_HAND, evidence,
        )  # fmt: skip
    if run.unroutable_since:
        return None  # the list is longer than what was looked through, or it moved meanwhile
    return _broken(facts, "X2", "it counts as queued, and stands in no queue", _SLOWLY, evidence)


def _due(facts: Facts, run: Run) -> Why | None:
    if facts.indexes.due_at is not None:
        return None
    return _broken(
        facts, "X4", "it is due at a time, and stands in no list of what is due", _SLOWLY,
        {"due": run.due_at},
    )  # fmt: skip


def _waiting(facts: Facts, run: Run) -> Why | None:
    if facts.turn is not None:
        return _turn(facts, facts.turn)
    awaited = facts.awaited
    come = [one for one in awaited.commands if one.awaited_id and one.awaited_id in awaited.arrived]
    names = {
        name for one in awaited.commands if one.kind == "signal" for name in one.name.split(",")
    }
    mail = [name for name in awaited.mail if name in names]
    if come or mail:
        what = f"signal {mail[0]!r}" if mail else f"what it waits for at place {come[0].place}"
        return _broken(
            facts, "X5", f"{what} has come, and nobody has told it", _BY_HAND,
            {"mailbox": mail, "arrived": [one.awaited_id for one in come]},
        )  # fmt: skip
    gone = [
        one.awaited_id
        for one in awaited.commands
        if one.kind == "child" and one.awaited_id in awaited.gone
    ]
    if gone:
        return _broken(
            facts, "X6", f"it waits for child {gone[0]}, whose record is gone", _SLOWLY,
            {"children": gone},
        )  # fmt: skip
    return _due(facts, run) if run.due_at else None


def _turn(facts: Facts, place: Turn) -> Why | None:
    parent = place.parent
    evidence = {
        "parent": place.parent_id, "index": place.index, "next": place.counts.next,
        "settled": place.is_settled,
    }  # fmt: skip
    if parent is None:
        sentence = f"it waits for its turn in a map of run {place.parent_id}, whose record is gone"
    elif parent.is_finished and not place.is_stopping:
        sentence = f"it waits for its turn in a map of run {place.parent_id}, which has ended"
    elif not parent.is_finished and not place.is_settled and place.index < place.counts.next:
        sentence = "its turn in the map of its parent has come, and nobody has told it"
    else:
        return None
    return _broken(facts, "X7", sentence, _BY_HAND, evidence)


def _of_indexes(facts: Facts, run: Run) -> Why | None:
    indexes = facts.indexes
    has_limit = run.deadline_at and run.stop is None and run.state is not RunState.PAUSED
    if has_limit and indexes.deadline_at is None:
        return _broken(
            facts, "X9", "its time limit is not kept, so it does not end then", _SLOWLY,
            {"deadline": run.deadline_at},
        )  # fmt: skip
    if not indexes.is_live:
        return _broken(
            facts, "X8", "it is not on the list of live runs, so nobody looks after it", _BY_HAND,
            {"live": False},
        )  # fmt: skip
    return None

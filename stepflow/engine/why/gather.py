"""Gathers the facts that explain a run from all that was read of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.core.limits.use import label_of, read_held
from stepflow.core.run import Run
from stepflow.engine.kept import KeptData, read_tried
from stepflow.engine.why.around.breakers import BREAKER
from stepflow.engine.why.around.budgets import BUDGET
from stepflow.engine.why.around.limits import lines_of_steps, make_line
from stepflow.engine.why.facts import Awaited, Facts, Indexes, Line, MapCounts, Place, Turn, World
from stepflow.engine.why.look import Answers, Look
from stepflow.engine.why.schema_words import question_in_words, signals_in_words
from stepflow.store.evidence.of_run import NEAR
from stepflow.store.hooks import DEAD, DELIVERED, HookRecord
from stepflow.store.keys import Keys
from stepflow.store.run_hash import read_rq_time


def facts_of(look: Look, world: World, keys: Keys) -> Facts:
    """Say what is known of a run, and of the child that it waits for."""
    run, second = look.run, look.second
    if run is None:
        names = (name for name, score in second.items() if score is not None)
        ended_as = next((name.partition(" ")[0] for name in names), "")
        is_live = look.first["live"] is not None
        return Facts(look.run_id, world, None, Indexes(None, None, None, is_live, ended_as))
    first, kept = look.first, KeptData(look.first["data"], run)
    error = kept.error(b"error") if run.is_finished else None
    policy = look.options.policy
    return Facts(
        look.run_id, world, run,
        Indexes(first["lease"], first["due"], first["deadline"], first["live"] is not None),
        reason=kept.text(b"reason") or "",
        error=error.brief() if error is not None else kept.text(b"last_error") or "",
        tried=_tried(first["data"].get(b"tried")),
        attempts=0 if policy is None else policy.max_attempts,
        place=_place(look, run, world, keys) if "position" in second else Place(),
        breakers={
            name: found for name, found in second.items()
            if name.startswith(BREAKER) and found is not None
        },
        budgets={
            name: found for name, found in second.items()
            if name.startswith(BUDGET) and found is not None
        },
        claimed_at=read_rq_time(second.get("started")) or 0.0,
        awaited=_awaited(look),
        turn=_turn(look), hooks=_hooks(look), line=_line(look, run),
        lines=lines_of_steps(look),
        lost_hooks=_lost_hooks(look.third),
        child=None if look.child is None or look.child.first == {}
        else facts_of(look.child, world, keys),
        expires_at=second.get("expires") or second.get("old expires") or 0.0,
        tags=kept.tags(),
        is_still=first["glance"] == second["glance"],
    )  # fmt: skip


def _lost_hooks(third: Answers) -> list[str]:
    """Name the hooks that stand neither in their queue nor in the waiting list of their runner."""
    looked = [name.removeprefix("hook ") for name in third if name.startswith("hook ")]
    return [
        hook
        for hook in looked
        if third[f"hook {hook}"] is None and third[f"waiting {hook}"] is None
    ]


def _tried(packed: bytes | None) -> tuple[str, str]:
    tried = read_tried(packed)
    if tried is None or not tried.trials:
        return "", ""
    return tried.workers, tried.trials[-1].problem


def _place(look: Look, run: Run, world: World, keys: Keys) -> Place:
    second, queue = look.second, keys.queue_of(run)
    position = look.third.get("position", second["position"])
    length, of_build = world.lengths.get(queue, 0), look.build_position
    if of_build is not None:
        return Place(
            queue, second["queued"], position, length, waiting_position=of_build, is_listed=True,
            is_of_build=True,
        )  # fmt: skip
    lane = _lane(second, run, queue)
    return Place(
        queue, second.get("lane at") or second["queued"], position, length,
        is_searched=position is not None or "position" in look.third or length <= NEAR,
        waiting_position=second["waiting"], waiting_length=second["waiting_length"],
        is_listed=f"{queue}|{run.runner_key}" in world.waiting_lists, **lane,
    )  # fmt: skip


def _lane(second: Answers, run: Run, queue: str) -> dict[str, Any]:
    """Say where a run stands in its lane; nothing for one that has none."""
    if not run.lane:
        return {}
    return {
        "lane": run.lane, "lane_position": second["lane"], "lane_length": second["lane length"],
        "lanes": second["lanes"],
        "has_turn": second["turn"] is not None and queue in second["laned"],
    }  # fmt: skip


def _awaited(look: Look) -> Awaited:
    second = look.second
    mail = [item.partition(b"|")[0].decode("utf-8", "replace") for item in second.get("mail", ())]
    questions = {
        digest.decode("utf-8", "replace"): question_in_words(packed)
        for digest, packed in second.get("questions", {}).items()
        if digest
    }
    digests = [command.awaited_id for command in look.commands if command.kind == "question"]
    ids = [command.awaited_id for command in look.commands if command.kind in {"child", "map"}]
    told = [*zip(digests, second.get("replies", ()), strict=False)]
    told += zip(ids, second.get("ends", ()), strict=False)
    gone = [
        name.removeprefix("is ")
        for name, is_there in second.items()
        if name.startswith("is ") and not is_there
    ]
    maps = {
        command.awaited_id: _counts(second.get("maps", {}), command.awaited_id)
        for command in look.commands
        if command.kind == "map"
    }
    arrived = frozenset(name for name, reply in told if reply is not None)
    signals = signals_in_words(second.get("expected"))
    return Awaited(
        look.commands, mail, questions, signals, arrived, maps, frozenset(gone),
        second.get("children", 0),
    )  # fmt: skip


def _counts(row: Mapping[bytes, bytes], stem: str) -> MapCounts:
    def number(what: str) -> int:
        written = row.get(f"{stem}.{what}".encode(), b"")
        return int(written) if written.isdigit() else 0

    total = row.get(f"{stem}.goal".encode(), b"").rpartition(b"|")[2]
    return MapCounts(
        int(total) if total.isdigit() else 0, number("ok"), number("bad"), number("next")
    )


def _line(look: Look, run: Run) -> Line | None:
    second, held = look.second, read_held(run.held)
    if held is None or second.get("line") is None:
        return None
    return make_line(label_of(held.name, held.key), held.since, second["line"], second)


def _turn(look: Look) -> Turn | None:
    if "parent" not in look.second or look.options.parent is None:
        return None
    second, stop = look.second, look.third.get("stop")
    stem, _, number = look.run_id.rpartition("-")
    return Turn(
        look.options.parent.run_id, int(number) if number.isdigit() else 0, second["parent"],
        _counts(second["maps"], stem), second["settled"][0] is not None,
        stop is not None and stop.state not in {DEAD, DELIVERED},
    )  # fmt: skip


def _hooks(look: Look) -> list[HookRecord]:
    found = [hook for name, hook in look.second.items() if name.startswith("hook ")]
    return [hook for hook in found if hook is not None]

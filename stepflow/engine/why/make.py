"""Puts an explanation together: the word that goes with a code, times as datetimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepflow.engine.why.facts import Facts
from stepflow.engine.why.model import CODES, Why, WhyWord
from stepflow.engine.why.words import in_a_line
from stepflow.shell import to_type
from stepflow.times import as_datetime

#: words of the codes that do not begin with them
_WORDS = {"lost": WhyWord.QUEUED}


def word_of(code: str) -> WhyWord:
    """Give the word of a code."""
    first = code.partition(".")[0]
    return WhyWord.BROKEN if first.startswith("X") else _WORDS.get(first) or WhyWord(first)


def make(
    facts: Facts,
    code: str,
    sentence: str,
    *,
    since: float = 0.0,
    until: float = 0.0,
    moved_by: str = "",
    commands: Sequence[str] = (),
    evidence: Mapping[str, Any] | None = None,
    child: Why | None = None,
) -> Why:
    """
    Make the explanation that *code* stands for; times are unix seconds, 0 for not known.

    A sentence is one line, whatever reasons and errors say in it.
    """
    if code not in CODES:
        raise KeyError(code)
    run = facts.run
    found: dict[str, Any] = {}
    if run is not None:
        found = {"state": str(run.state), "rev": run.rev, "step": run.step}
        found |= {"tags": dict(facts.tags)} if facts.tags else {}
    return Why(
        facts.run_id, word_of(code), code, in_a_line(sentence), as_datetime(since),
        as_datetime(until), moved_by, tuple(commands), {**found, **(evidence or {})}, child,
    )  # fmt: skip


def asking(facts: Facts) -> str:
    """Give the command that asks the worker of the run what it is doing."""
    return to_type("why", facts.run_id, options=("--now",))


def cancelling(facts: Facts) -> str:
    """Give the command that cancels the run."""
    return to_type("cancel", facts.run_id)


def failing(facts: Facts) -> str:
    """Give the command that ends the run as it stands."""
    return to_type("fail", facts.run_id)

"""The checks of the demo: each is a claim in a sentence, and yields what contradicts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from stepflow.cli.demo.pipeline import STAGES
from stepflow.cli.demo.receiver import Receiver
from stepflow.core.run import RunStatus
from stepflow.engine.inspect import StepInfo

#: keys that outlive all runs: indexes, whose members go with their runs, lists of names, counts
STATIC_KEYS = (
    "stepflow:idx:*",
    "stepflow:app_hooks",
    "stepflow:builds",
    "stepflow:versions",
    "stepflow:format",
    "stepflow:levels",
    "stepflow:totals",
    "stepflow:stat:*",
    "stepflow:workers:*",
    "rq:queues",
    "rq:workers*",
)


@dataclass
class Evidence:
    """What the demo knows after the last run has ended."""

    expected: Mapping[str, str]
    runs: Mapping[str, RunStatus]
    steps: Mapping[str, Sequence[StepInfo]]
    receiver: Receiver
    #: unix seconds of the SIGKILL, and the name of the worker it hit
    killed_at: float
    killed: str
    lasting_keys: list[str] = field(default_factory=list)
    #: (run id, step record) -> how often the server's append-only file has it written
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True)
class Finding:
    """The outcome of one check: the claim, and what contradicts it."""

    claim: str
    problems: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing contradicts the claim."""
        return not self.problems


def check_all(evidence: Evidence) -> list[Finding]:
    """Run every check, in order."""
    return [Finding(claim, list(check(evidence))) for claim, check in CHECKS.items()]


def _ends(evidence: Evidence) -> Iterator[str]:
    for run_id, end in evidence.expected.items():
        run = evidence.runs[run_id]
        if run.state != end:
            yield f"{run_id} is {run.state}, not {end}"
        elif end == "succeeded" and len(run.result["notes"]) != len(STAGES):
            yield (
                f"{run_id} has {len(run.result['notes'])} notes, one a step would be {len(STAGES)}"
            )


def _steps(evidence: Evidence) -> Iterator[str]:
    for run_id, run in evidence.runs.items():
        closed = [step.number for step in evidence.steps[run_id] if step.is_closed]
        if closed != list(range(len(closed))) or (
            run.state == "succeeded" and len(closed) != len(STAGES)
        ):
            yield f"{run_id} committed steps {closed}"
        for number in closed:
            if (times := evidence.writes[run_id, str(number)]) != 1:
                yield f"{run_id} step {number} was committed {times} times"


def _stale(evidence: Evidence) -> Iterator[str]:
    for run_id, steps in evidence.steps.items():
        for step in steps:
            late = step.ended_at is not None and step.ended_at.timestamp() > evidence.killed_at + 1
            if step.is_closed and step.worker == evidence.killed and late:
                yield (
                    f"{run_id} step {step.number} was committed by the killed worker at "
                    f"{step.ended_at:%X}"
                )


def _webhooks(evidence: Evidence) -> Iterator[str]:
    if evidence.receiver.refused:
        yield f"{evidence.receiver.refused} webhooks were not signed as they should be"
    for run_id in evidence.runs:
        ids = evidence.receiver.arrived.get(run_id, [])
        if not ids:
            yield f"no webhook came for {run_id}"
        elif len(set(ids)) > 1:
            yield f"the webhook of {run_id} came under several ids: {', '.join(sorted(set(ids)))}"


def _cost(evidence: Evidence) -> Iterator[str]:
    late = [cost for cost in pick_ups(evidence).values() if cost > PICK_UP_S]
    if late:
        yield f"the slowest was handed over after {max(late):.1f} s"


def _leftovers(evidence: Evidence) -> Iterator[str]:
    for key in evidence.lasting_keys:
        if not any(fnmatchcase(key, pattern) for pattern in STATIC_KEYS):
            yield f"{key} has no time to live"


#: seconds: a supervisor hands over a killed worker's steps in one; the rest is for a busy machine
PICK_UP_S = 3.0

CHECKS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "every run ended as it should": _ends,
    "every step was committed exactly once, none was left out": _steps,
    "the killed worker committed nothing after its end": _stale,
    f"the killed worker's steps were handed over within {PICK_UP_S:g} s": _cost,
    "every run's webhook arrived, signed, under one id": _webhooks,
    "Redis keeps nothing for ever but indexes, names and counts": _leftovers,
}


def pick_ups(evidence: Evidence) -> dict[str, float]:
    """
    Return the runs whose step was lost with the killed worker, by id.

    Each with the seconds until the step was handed over again.
    """
    return {
        run_id: max(0.0, step.ended_at.timestamp() - evidence.killed_at)
        for run_id, steps in evidence.steps.items()
        for step in steps
        if step.outcome == "lost" and step.worker == evidence.killed and step.ended_at is not None
    }


def done_again(evidence: Evidence) -> float:
    """
    Return the seconds from the kill until another worker committed the last lost step.

    0 when none was lost.
    """
    lost = {
        (run_id, step.number)
        for run_id, steps in evidence.steps.items()
        for step in steps
        if step.outcome == "lost"
    }
    ends = [
        step.ended_at.timestamp() - evidence.killed_at
        for run_id, steps in evidence.steps.items()
        for step in steps
        if (run_id, step.number) in lost and step.is_closed and step.ended_at is not None
    ]
    return max(ends, default=0.0)


def read_writes(home: Path) -> Counter[tuple[str, str]]:
    """
    Count the writes of step records in the server's append-only files.

    They hold every command that the server has ever carried out.
    """
    found: Counter[tuple[str, str]] = Counter()
    for path in home.rglob("*.aof"):
        with path.open("rb") as journal:
            for name, *parts in _commands(journal):
                words = parts[0].decode().split(":") if parts else []
                if name.upper() == b"HSET" and words[1:2] == ["run"] and words[-1] == "steps":
                    found.update((words[2], field.decode()) for field in parts[1::2])
    return found


def _commands(journal: BinaryIO) -> Iterator[list[bytes]]:
    """Read the commands of an append-only file, which has them as clients send them."""
    while line := journal.readline():
        if line.startswith(b"*"):
            yield [journal.read(int(journal.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]

"""
What is counted, and the names of the counts.

A count is a field of a hash: its kind, and whatever it is counted by, with `|` between them. Times
are counted in buckets: one of n has what took less than 2**n microseconds, and at least half
of that. Beside them stands their sum.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import RunState
from stepflow.errors import StepFailed

#: the runner that stands for all those beyond the first `MOST_RUNNERS`
OTHER = "other"
#: runners that are counted under their own name
MOST_RUNNERS = 200
#: buckets of a histogram: the last one has what took longer than a quarter of a million years
BUCKETS = 64
#: characters of the name of an error's type
_LONGEST_ERROR = 80
#: the type in the message of StepFailed
_OF_STEP = re.compile(r"failed \(([^()\s]+)\): ")
_NOT_IN_A_FIELD = re.compile(r"[|\s]")


class Counted(StrEnum):
    """The kinds of counts, with what stands in their fields."""

    SUBMITTED = "submitted"  # runner
    ENDED = "ended"  # runner, end state
    FAILING = "failing"  # runner, type of the error that ended the run
    STEPS = "steps"  # runner, `StepCount`
    TOOK = "took"  # runner, bucket: of each attempt of a step
    TOOK_SUM = "took_us"  # runner
    WAITED = "waited"  # queue, bucket: from being due in a queue to a claim
    WAITED_SUM = "waited_us"  # queue
    RECOVERED = "recovered"  # `Recovery`
    CLAIMS_LOST = "claims_lost"
    HOOKS = "hooks"  # `HookCount`
    LEFT_OUT = "left_out"  # schedule, why its times have no run


class StepCount(StrEnum):
    """How an attempt of a step ended."""

    DONE = "done"
    FAILED = "failed"  # for good
    RETRIED = "retried"  # it failed, and the step is tried again
    CANCELLED = "cancelled"
    HANDED_BACK = "handed_back"
    LOST = "lost"  # with its worker


class HookCount(StrEnum):
    """How a try of a hook delivery ended."""

    DELIVERED = "delivered"
    RETRIED = "retried"
    DEAD = "dead"


class Recovery(StrEnum):
    """Why a run was handed over again."""

    LAPSED = "lapsed"  # its claim ran out
    DEAD_WORKER = "dead_worker"  # its supervisor saw the worker die
    LOST_DELIVERY = "lost_delivery"  # its queue entry was gone


class Count(NamedTuple):
    """A field, taken apart: *of* and *label* are what it is counted by, as far as it is."""

    kind: str
    of: str = ""
    label: str = ""


def field_of(kind: Counted, *by: str) -> str:
    """Name the field of a count."""
    return "|".join((kind, *by))


def end_fields(runner: str, state: RunState, error: ErrorInfo | None) -> list[str]:
    """Name the fields that count the end of a run; *error* is what it failed with."""
    ended = _ended_field(runner, state)
    if state is not RunState.FAILED:
        return [ended]
    return [ended, field_of(Counted.FAILING, runner, error_name(error))]


@lru_cache(maxsize=1000)
def _ended_field(runner: str, state: RunState) -> str:
    return field_of(Counted.ENDED, runner, state)


def error_name(error: ErrorInfo | None) -> str:
    """Name the type of an error: for a step of a workflow that of what the step raised."""
    if error is None:
        return "unknown"
    of_step = _OF_STEP.search(error.message) if error.type == StepFailed.__name__ else None
    name = of_step[1] if of_step else error.type
    return _NOT_IN_A_FIELD.sub("_", name)[:_LONGEST_ERROR] or "unknown"


def read_counts(written: Mapping[bytes, bytes]) -> Iterator[tuple[Count, int]]:
    """Read the fields of a hash of counts; what is no count is passed over."""
    for name, number in written.items():
        if number.isdigit():
            parts = name.decode("utf-8", "replace").split("|", 2)
            yield Count(*parts), int(number)


def upper_bound_s(bucket: int) -> float:
    """Give the time in seconds that whatever is in a bucket took less than."""
    return 2.0**bucket / 1e6


def quantile_s(buckets: Mapping[int, int], share: float) -> float | None:
    """
    Estimate the time in seconds that *share* of what was counted stayed below.

    Within a bucket times count as spread evenly. None when nothing was counted.
    """
    left = share * sum(buckets.values())
    for bucket, count in sorted(buckets.items()):
        if count and count >= left:
            low = upper_bound_s(bucket - 1) if bucket else 0.0
            return low + (upper_bound_s(bucket) - low) * left / count
        left -= count
    return None

"""What a schedule is put as: its rules, and what its runs are submitted with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypedDict

from stepflow.core.backoff import RetryPolicy, check_policy
from stepflow.core.ids import check_name, check_queue, check_version
from stepflow.core.run import priority_name
from stepflow.core.schedules.rules import (
    WITHIN_S,
    Rules,
    check_rules,
    check_schedule_id,
    read_catch_up,
    read_overlap,
    read_rules,
)
from stepflow.core.schedules.scheduled import Scheduled
from stepflow.core.schedules.times import Times, at, cron, every, run_id_of
from stepflow.engine.spec import RunSpec, check_headers, read_priority
from stepflow.errors import (
    InvalidOption,
    StepflowError,
    UndecryptableValue,
    UnreadableValue,
    shown,
)
from stepflow.store.values.codec import pack, pack_alike, unpack
from stepflow.times import seconds, unix_time


class ScheduleOptions(TypedDict, total=False):
    """
    The options of a schedule beside its runner, its cron line and its payload.

    Durations are seconds or timedeltas, moments unix seconds or aware datetimes.
    """

    #: the time zone of a cron line, by its name; UTC by default
    tz: str
    #: instead of a cron line: a run every so often, counted from the epoch plus *offset*
    every: float | timedelta
    offset: float | timedelta
    #: instead of a cron line: runs at given times
    at: Sequence[float | datetime]
    #: by how much runs begin later at most; by how much follows from the time, for all workers
    jitter: float | timedelta
    #: `skip`, `buffer_one`, `buffer_all`, `cancel_other`, `allow`
    overlap: str
    #: `latest`, `all`, `none`
    catch_up: str
    catch_up_within: float | timedelta
    #: no time after it has a run
    until: float | datetime
    max_runs: int
    pause_on_failure: bool
    queue: str
    priority: str
    #: of each run, from when it begins
    timeout: float | timedelta
    headers: Mapping[str, str]
    retry: RetryPolicy
    version: int


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """A schedule: when, and what its runs are submitted with; *timeout_s* 0 for none."""

    id: str
    runner: str
    rules: Rules
    payload: Any = None
    queue: str = "default"
    priority: str = "normal"
    timeout_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    retry: RetryPolicy | None = None
    version: int | None = None

    def pack(self, limit: int) -> bytes:
        """Write it; raises what `pack` raises for a payload."""
        pack(self.payload, what="the payload", limit=limit, in_clear=True)
        forms = pack_alike(  # what a worker declares is compared with what is there
            {
                "runner": self.runner, "rules": self.rules.as_dict(), "payload": self.payload,
                "queue": self.queue, "priority": self.priority, "timeout": self.timeout_s,
                "headers": dict(self.headers), "version": self.version,
                "retry": None if self.retry is None else self.retry.as_dict(),
            },
            what="the schedule",
        )  # fmt: skip
        return forms[0]

    def run_of(self, nominal: float, *, run_id: str | None = None) -> RunSpec:
        """Give the run of a time, whose id follows from it unless there is another."""
        return RunSpec(
            self.runner, self.payload, run_id=run_id or run_id_of(self.id, nominal),
            headers=self.headers, queue=self.queue, priority=self.priority,
            timeout=self.timeout_s or None, retry=self.retry, version=self.version,
            scheduled=Scheduled(self.id, nominal),
        )  # fmt: skip


def read_spec(schedule_id: str, packed: bytes) -> ScheduleSpec:
    """Read a schedule as `ScheduleSpec.pack` writes it; raises UnreadableValue."""
    try:
        kept = unpack(packed)
        return ScheduleSpec(
            schedule_id, str(kept["runner"]), read_rules(kept["rules"]), kept["payload"],
            str(kept["queue"]), str(kept["priority"]), float(kept["timeout"]),
            check_headers(kept["headers"]),
            None if kept["retry"] is None else RetryPolicy(**kept["retry"]), kept["version"],
        )  # fmt: skip
    except UndecryptableValue:
        raise
    except (StepflowError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise UnreadableValue(f"it is not as this version writes it ({error})") from error


def make_spec(
    schedule_id: str, runner: str, line: str | None, payload: Any, options: ScheduleOptions
) -> ScheduleSpec:
    """
    Make a schedule out of what somebody gave.

    Raises InvalidOption and InvalidName for what cannot be, such as a day that never comes.
    """
    retry, version = options.get("retry"), options.get("version")
    if retry is not None:
        check_policy(retry, f"schedule {schedule_id!r}")
    priority = priority_name(read_priority(options.get("priority", "normal")))
    return ScheduleSpec(
        check_schedule_id(schedule_id),
        check_name("runner", runner),
        _rules(line, options),
        payload,
        check_queue(options.get("queue", "default")),
        priority,
        seconds(options.get("timeout", 0.0), "timeout"),
        check_headers(options.get("headers", {})),
        retry,
        None if version is None else check_version(version),
    )


def make_times(line: str | None, options: ScheduleOptions) -> Times:
    """Make the times of a schedule; raises InvalidOption unless one kind is given."""
    kinds = {"every": options.get("every"), "at": options.get("at"), "a cron line": line}
    named = [kind for kind, value in kinds.items() if value is not None]
    if len(named) != 1:
        raise InvalidOption(
            f"a schedule takes a cron line, every or at, one of them; it was given "
            f"{' and '.join(named) or 'none'}"
        )
    if line is not None:
        return cron(line, options.get("tz", "UTC"))
    if "tz" in options:
        raise InvalidOption(f"tz goes with a cron line; {named[0]} needs none")
    if "at" in options:
        return at([unix_time(moment, "at") for moment in _listed(options["at"])])
    offset_s = seconds(options.get("offset", 0.0), "offset")
    return every(seconds(options["every"], "every"), offset_s)


def _listed(moments: object) -> Iterable[object]:
    """Give the moments of `at`; raises InvalidOption for one alone."""
    if isinstance(moments, Iterable) and not isinstance(moments, str | bytes | Mapping):
        return moments
    raise InvalidOption(f"at is {shown(moments)}; it is a list of moments: at=[...]")


def _rules(line: str | None, options: ScheduleOptions) -> Rules:
    catch_up = read_catch_up(options.get("catch_up", "latest"))
    until, within = options.get("until"), options.get("catch_up_within", WITHIN_S)
    return check_rules(
        Rules(
            make_times(line, options),
            jitter_s=seconds(options.get("jitter", 0.0), "jitter"),
            overlap=read_overlap(options.get("overlap"), catch_up),
            catch_up=catch_up,
            catch_up_within_s=seconds(within, "catch_up_within"),
            until=0.0 if until is None else unix_time(until, "until"),
            max_runs=options.get("max_runs", 0),
            pause_on_failure=bool(options.get("pause_on_failure")),
        )
    )

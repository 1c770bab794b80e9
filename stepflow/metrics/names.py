"""Every metric, in one table: its name, its kind, its labels and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of metrics, as Prometheus calls them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; the names of a counter's samples end in `_total`."""

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[str, ...]:
        """The names of its samples, as queries have them."""
        match self.kind:
            case Kind.COUNTER:
                return (f"{self.name}_total",)
            case Kind.GAUGE:
                return (self.name,)
            case Kind.HISTOGRAM:
                return tuple(f"{self.name}_{end}" for end in ("bucket", "count", "sum"))


def _table(*metrics: Metric) -> Mapping[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS = _table(
    Metric(
        "stepflow_runs_submitted", Kind.COUNTER,
        "Runs that were submitted, children and forks among them.", ("runner",),
    ),
    Metric(
        "stepflow_runs_ended", Kind.COUNTER,
        "Runs that ended, by end state; a run that is retried ends again.", ("runner", "state"),
    ),
    Metric(
        "stepflow_steps", Kind.COUNTER,
        "Attempts of steps that ended: done, failed, retried, cancelled, handed_back or lost.",
        ("runner", "outcome"),
    ),
    Metric(
        "stepflow_step_seconds", Kind.HISTOGRAM, "How long attempts of steps took.", ("runner",)
    ),
    Metric(
        "stepflow_queue_wait_seconds", Kind.HISTOGRAM,
        "How long runs waited in their queue, from being due to a claim.", ("queue",),
    ),
    Metric("stepflow_queue_depth", Kind.GAUGE, "Runs that wait in a queue.", ("queue", "priority")),
    Metric(
        "stepflow_queue_oldest_seconds", Kind.GAUGE,
        "How long the first run of a queue has waited, 0 for an empty one.", ("queue", "priority"),
    ),
    Metric(
        "stepflow_queue_paused", Kind.GAUGE, "Whether somebody paused the queue: 1 or 0.",
        ("queue", "priority"),
    ),
    Metric(
        "stepflow_runs", Kind.GAUGE,
        "Runs that Redis keeps, by state; waiting: for a time, a message or somebody.", ("state",),
    ),
    Metric("stepflow_workers", Kind.GAUGE, "Worker processes that are alive."),
    Metric("stepflow_slots", Kind.GAUGE, "Slots for steps of the live workers.", ("state",)),
    Metric(
        "stepflow_recoveries", Kind.COUNTER,
        "Runs that were handed over again: lapsed, dead_worker or lost_delivery.", ("why",),
    ),
    Metric(
        "stepflow_claims_lost", Kind.COUNTER,
        "Steps whose worker came too late: another one had their claim.",
    ),
    Metric(
        "stepflow_hooks", Kind.COUNTER,
        "Tries of hook deliveries: delivered, retried or dead.", ("outcome",),
    ),
    Metric(
        "stepflow_schedule_times_left_out", Kind.COUNTER,
        "Times of schedules that have no run: overlap, missed, paused, blocked or buffer full.",
        ("schedule", "why"),
    ),
    Metric(
        "stepflow_breaker_open", Kind.GAUGE,
        "Whether a circuit breaker lets no call through, or trials only: 1 or 0.", ("breaker",),
    ),
    Metric(
        "stepflow_breaker_waiting", Kind.GAUGE, "Runs that wait for a circuit breaker.",
        ("breaker",),
    ),
    Metric(
        "stepflow_breaker_refused", Kind.COUNTER,
        "Calls that a circuit breaker has not let through.", ("breaker",),
    ),
    Metric(
        "stepflow_breaker_transitions", Kind.COUNTER,
        "How often a circuit breaker has opened and closed.", ("breaker", "to"),
    ),
    Metric("stepflow_hooks_pending", Kind.GAUGE, "Hook deliveries that wait in their queue."),
    Metric("stepflow_hooks_dead", Kind.GAUGE, "Hook deliveries that were given up and are kept."),
    Metric("stepflow_archive_pending", Kind.GAUGE, "Ends of runs that wait to be archived."),
    Metric(
        "stepflow_archive_lag_seconds", Kind.GAUGE,
        "How long the oldest end has waited to be archived, 0 when none waits.",
    ),
    Metric("stepflow_due_lag_seconds", Kind.GAUGE, "How late the first is of what is due."),
    Metric("stepflow_redis_memory_bytes", Kind.GAUGE, "Memory that Redis uses."),
    Metric(
        "stepflow_redis_memory_limit_bytes", Kind.GAUGE, "Redis's maxmemory; 0 without a limit."
    ),
    Metric("stepflow_redis_clients", Kind.GAUGE, "Connections to Redis."),
    Metric("stepflow_redis_commands", Kind.COUNTER, "Commands that Redis has carried out."),
    Metric(
        "stepflow_redis_evicted_keys", Kind.COUNTER,
        "Keys that Redis evicted for want of memory: each may be part of a run.",
    ),
)  # fmt: skip

"""From a snapshot to metric families."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import Metric as Family
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from stepflow.core.counts import Counted, upper_bound_s
from stepflow.engine.stats.snapshot import Snapshot
from stepflow.engine.stats.tally import Tally
from stepflow.metrics.names import METRICS, Kind

#: the bounds of a histogram that are told, by the power of two: from 1 ms to over an hour
_TOLD = [(power, f"{upper_bound_s(power):g}") for power in range(10, 33, 2)]
#: a sample: the values of its labels, and its own
Samples = Sequence[tuple[Sequence[str], float]]

#: metrics that are fields of Redis's INFO
_OF_SERVER = {
    "stepflow_redis_memory_bytes": "used_memory",
    "stepflow_redis_memory_limit_bytes": "maxmemory",
    "stepflow_redis_clients": "connected_clients",
    "stepflow_redis_commands": "total_commands_processed",
    "stepflow_redis_evicted_keys": "evicted_keys",
}


class SnapshotCollector(Collector):
    """The metrics of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Family]:
        """Make the families, those of INFO where it may be read."""
        for name, metric in METRICS.items():
            if metric.kind is Kind.HISTOGRAM:
                yield self._histogram(name)
            elif name in _OF_SERVER:
                yield from self._of_server(name)
            else:
                yield _family(name, _SAMPLES[name](self._snapshot))

    def _histogram(self, name: str) -> Family:
        metric, counts = METRICS[name], self._snapshot.counts
        buckets, total = _HISTOGRAMS[name]
        family = HistogramMetricFamily(name, metric.says, labels=metric.labels)
        for of in counts.owners(buckets):
            found = counts.buckets(buckets, of)
            family.add_metric([of], _cumulative(found), counts.total(total, of) / 1e6)
        return family

    def _of_server(self, name: str) -> Iterator[Family]:
        value = self._snapshot.server.get(_OF_SERVER[name], "")
        if value.isdigit():
            yield _family(name, [((), float(value))])


def _family(name: str, samples: Samples) -> Family:
    metric = METRICS[name]
    family = (
        CounterMetricFamily(name, metric.says, labels=metric.labels)
        if metric.kind is Kind.COUNTER
        else GaugeMetricFamily(name, metric.says, labels=metric.labels)
    )
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _cumulative(buckets: Mapping[int, int]) -> list[tuple[str, float]]:
    """Give for each bound how many stayed below it."""
    told, below, left = list[tuple[str, float]](), 0, sorted(buckets.items(), reverse=True)
    for bound, written in _TOLD:
        while left and left[-1][0] <= bound:
            below += left.pop()[1]
        told.append((written, below))
    return [*told, ("+Inf", sum(buckets.values()))]


def _counted(kind: Counted) -> Callable[[Snapshot], Samples]:
    """Give the counts of a kind, with as many labels as the kind has."""

    def samples(snapshot: Snapshot) -> Samples:
        return [
            ([part for part in (of, label) if part], number)
            for of, labels in sorted(snapshot.counts.of_kind(kind).items())
            for label, number in sorted(labels.items())
        ]

    return samples


def _queues(value: Callable[..., float]) -> Callable[[Snapshot], Samples]:
    def samples(snapshot: Snapshot) -> Samples:
        steps = [queue for queue in snapshot.queues if not queue.is_hooks]
        return [([queue.queue, queue.priority], value(queue)) for queue in steps]

    return samples


def _slots(snapshot: Snapshot) -> Samples:
    used = snapshot.runs["running"]
    return [(["used"], used), (["free"], max(0, snapshot.slots - used))]


def _claims_lost(counts: Tally) -> Samples:
    return [((), counts.total(Counted.CLAIMS_LOST))]


_HISTOGRAMS = {
    "stepflow_step_seconds": (Counted.TOOK, Counted.TOOK_SUM),
    "stepflow_queue_wait_seconds": (Counted.WAITED, Counted.WAITED_SUM),
}
_SAMPLES: Mapping[str, Callable[[Snapshot], Samples]] = {
    "stepflow_runs_submitted": _counted(Counted.SUBMITTED),
    "stepflow_runs_ended": _counted(Counted.ENDED),
    "stepflow_steps": _counted(Counted.STEPS),
    "stepflow_queue_depth": _queues(lambda queue: queue.length),
    "stepflow_queue_oldest_seconds": _queues(lambda queue: queue.oldest_s or 0.0),
    "stepflow_queue_paused": _queues(lambda queue: float(queue.paused is not None)),
    "stepflow_runs": lambda it: [([state], count) for state, count in it.runs.items()],
    "stepflow_workers": lambda it: [((), len(it.workers))],
    "stepflow_slots": _slots,
    "stepflow_recoveries": _counted(Counted.RECOVERED),
    "stepflow_claims_lost": lambda it: _claims_lost(it.counts),
    "stepflow_hooks": _counted(Counted.HOOKS),
    "stepflow_schedule_times_left_out": _counted(Counted.LEFT_OUT),
    "stepflow_breaker_open": lambda it: [
        ([each.name], float(each.state != "closed")) for each in it.breakers
    ],
    "stepflow_breaker_waiting": lambda it: [([each.name], each.waiting) for each in it.breakers],
    "stepflow_breaker_refused": lambda it: [([each.name], each.refused) for each in it.breakers],
    "stepflow_breaker_transitions": lambda it: [
        ([each.name, to], number)
        for each in it.breakers
        for to, number in (("open", each.opened), ("closed", each.closed))
    ],
    "stepflow_hooks_pending": lambda it: [
        ((), sum(queue.length for queue in it.queues if queue.is_hooks))
    ],
    "stepflow_hooks_dead": lambda it: [((), it.dead_hooks)],
    "stepflow_archive_pending": lambda it: [((), it.to_archive)],
    "stepflow_archive_lag_seconds": lambda it: [((), it.archive_lag_s)],
    "stepflow_due_lag_seconds": lambda it: [((), it.due_lag_s)],
}

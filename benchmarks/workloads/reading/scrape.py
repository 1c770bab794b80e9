"""scrape: one scrape of the metrics, snapshot and text, where Redis keeps a million runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.ground import Ground
from stepflow.core.counts import (
    BUCKETS,
    MOST_RUNNERS,
    Counted,
    HookCount,
    StepCount,
    field_of,
)
from stepflow.core.run import ENDS
from stepflow.engine.stats.snapshot import snapshot
from stepflow.metrics import exposition
from stepflow.store.connection.sync import carry_out

#: scrapes in a row
SCRAPES = 50
#: members written in one go
PAGE = 10_000
#: runs that wait, of those that there are
WAITING = 10_000
#: buckets that the steps of one runner are found in
SPREAD = range(8, 24)


def counts(runners: int) -> Iterator[tuple[str, int]]:
    """Give the totals of so many runners."""
    for runner in (f"runner-{number}" for number in range(runners)):
        yield field_of(Counted.SUBMITTED, runner), 5_000
        yield field_of(Counted.TOOK_SUM, runner), 10**9
        for state in ENDS:
            yield field_of(Counted.ENDED, runner, state), 1_700
        for end in StepCount:
            yield field_of(Counted.STEPS, runner, end), 9_000
        for bucket in SPREAD:
            yield field_of(Counted.TOOK, runner, str(bucket)), 3_000
    for bucket in range(BUCKETS):
        yield field_of(Counted.WAITED, "default", str(bucket)), 10
    for tried in HookCount:
        yield field_of(Counted.HOOKS, tried), 10


def fill(ground: Ground, runs: int) -> None:
    """Write the indexes and totals of so many runs, without their records."""
    keys = ground.client.env.keys
    pages = {keys.live: WAITING, keys.queued_at("default"): WAITING}
    pages |= {keys.ended_index(end): runs // len(ENDS) for end in ENDS}
    for index, size in pages.items():
        for first in range(0, size, PAGE):
            numbers = range(first, min(size, first + PAGE))
            ground.redis.zadd(index, {f"run-{number}": 1.7e9 + number for number in numbers})
    ground.redis.sadd("rq:queues", keys.rq_list("default"))
    ground.redis.hset(keys.totals, mapping=dict(counts(int(ground.args.variant))))


def main() -> None:
    """Measure and print one line; `--n` is of how many runs, `--variant` of how many runners."""
    ground = Ground.of("scrape", 1_000_000, variant=str(MOST_RUNNERS))

    def timed() -> float:
        began = time.perf_counter()
        exposition(carry_out(ground.client.connection, snapshot(ground.client.env)))
        return (time.perf_counter() - began) * 1e3

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        fill(ground, ground.args.n)
        with ground.idle_worker():
            timed()
            lat = [timed() for _ in range(SCRAPES)]
        ground.clean()
        return {"seconds": sum(lat) / 1e3, "n": SCRAPES, "lat_ms": lat}

    ground.measure(once, f"{ground.args.n:,} ended runs, {ground.args.variant} runners, one worker")


if __name__ == "__main__":
    main()

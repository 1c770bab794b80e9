"""W6: the Redis memory of each sleeping run, and how late others wake up among them."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import common as c
from benchmarks.ground import Ground
from stepflow import RunSpec

#: how they came to sleep: not begun yet, between two steps, in a workflow's ctx.sleep
RUNNERS = {"delayed": "late", "parked": "park", "flow": "sleep"}
AN_HOUR_S = 3600
#: runs that wake while the rest sleeps, and the seconds over which they are spread
WAKE, SPREAD_S = 1000, 5.0
#: seconds until the first of them is due: they must have gone to sleep by then
AHEAD_S = 3.0


def main() -> None:
    """Measure and print one line; once, for memory does not vary and sleeping takes a while."""
    ground = Ground.of("W6", 100_000, variant="delayed")
    ground.args.reps = 1

    def asleep(moment: float) -> RunSpec:
        start_at = moment if ground.args.variant == "delayed" else None
        return RunSpec(RUNNERS[ground.args.variant], {"since": moment}, start_at=start_at)

    def used() -> int:
        return int(ground.redis.info("memory")["used_memory"])

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with ground.idle_worker() as process:
            empty, began = used(), time.time()
            ground.client.submit_many(asleep(began + AN_HOUR_S) for _ in range(ground.args.n))
            c.wait_for(
                lambda: ground.redis.zcard("stepflow:due") == ground.args.n, 600, 0.05, process
            )
            took_s, each = time.time() - began, (used() - empty) / ground.args.n
            first = time.time() + AHEAD_S
            woken = ground.client.submit_many(
                asleep(first + n * SPREAD_S / WAKE) for n in range(WAKE)
            )
            lat = [run.result(60) for run in woken]
        return {
            "seconds": took_s,
            "n": ground.args.n,
            "lat_ms": lat,
            "figures": {"bytes_per_run": each},
        }

    ground.measure(once, f"used_memory a run; lateness of {WAKE:,} more, due over {SPREAD_S:g} s")


if __name__ == "__main__":
    main()

"""Schedules: how late the run of a time begins, one a second, and many in the same second."""

from __future__ import annotations

import math
import time
from typing import Any

from benchmarks import common as c
from benchmarks.ground import Ground

#: seconds until the first time: so long it takes to put them all
AHEAD_S = {"one": 2, "burst": 20}


def put(ground: Ground, n: int, variant: str) -> list[str]:
    """Put *n* schedules, each with one time; gives the ids of the runs."""
    first = math.ceil(time.time()) + AHEAD_S[variant]
    for k in range(n):
        moment = first + (k if variant == "one" else 0)
        ground.client.schedules.put(f"s{k}", "on-time", at=[moment])
    if time.time() > first:
        raise RuntimeError("its time came before all were put")
    c.wait_for(lambda: len(begun(ground, n)) == n, 200, 0.5)
    return begun(ground, n)


def begun(ground: Ground, n: int) -> list[str]:
    """Give the runs that the schedules have begun."""
    return [each.last_run for each in ground.client.schedules.list(limit=n) if each.last_run]


def main() -> None:
    """Measure and print one line: `--variant one` or `burst`."""
    ground = Ground.of("schedules", 0, variant="one")
    variant = ground.args.variant
    n = ground.args.n or {"one": 100, "burst": 1000}[variant]

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with ground.idle_worker():
            runs = put(ground, n, variant)
            lat = [ground.client.result(run_id, 60) for run_id in runs]
        return {"seconds": max(lat) / 1e3, "n": n, "lat_ms": lat}

    ground.measure(once, "until the step began, by its own clock; seconds: the latest")


if __name__ == "__main__":
    main()

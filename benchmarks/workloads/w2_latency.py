"""W2: one run of ten trivial steps at a time, from submit to its end seen by the client."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.ground import Ground

#: runs before the clock starts
WARM = 5


def main() -> None:
    """Measure and print one line."""
    ground = Ground.of("W2", variant="chain")
    args = ground.args

    def timed() -> float:
        began = time.perf_counter()
        ground.client.submit(args.variant, {"steps": args.steps}).wait(30)
        return (time.perf_counter() - began) * 1e3

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with ground.idle_worker():
            lat = [timed() for _ in range(WARM + args.n)][WARM:]
        return {"seconds": sum(lat) / 1e3, "n": args.n, "lat_ms": lat}

    ground.measure(once, "submit to wait() returned", steps_per_run=args.steps)


if __name__ == "__main__":
    main()

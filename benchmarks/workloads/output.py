"""Output: how late a reader has what a step emits, from the worker to the client."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.ground import Ground
from stepflow import OutputItem

#: seconds between two items of a run that talks as a model does
APART_S = 0.01


def latencies(ground: Ground, n: int, apart_s: float) -> list[float]:
    """Lateness of each item, in ms: the reader is there before the step begins."""
    run = ground.client.submit("says", {"items": n, "apart_s": apart_s})
    return [
        (time.time() - event.data) * 1e3 for event in run.output() if isinstance(event, OutputItem)
    ]


def main() -> None:
    """Measure and print one line: `--variant tokens`, or `flood` for items without a pause."""
    ground = Ground.of("output", 500, variant="tokens")
    apart_s = APART_S if ground.args.variant == "tokens" else 0.0

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with ground.idle_worker():
            began = time.time()
            lat = latencies(ground, ground.args.n, apart_s)
            seconds = time.time() - began
        return {"seconds": seconds, "n": ground.args.n, "lat_ms": lat}

    ground.measure(once, "emitted by an async step, read by the blocking client")


if __name__ == "__main__":
    main()

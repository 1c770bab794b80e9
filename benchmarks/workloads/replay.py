"""replay: from a signal to the next step of a workflow with a long journal."""

from __future__ import annotations

from typing import Any

from benchmarks.ground import Ground
from benchmarks.workloads.w8_wake_up import answers

#: signals to each workflow: replays that are measured
SIGNALS = 20


def main() -> None:
    """Measure and print one line; `--n` is the number of remembered steps."""
    ground = Ground.of("replay", 5000)

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with ground.idle_worker():
            lat = answers(ground, steps=ground.args.n, signals=SIGNALS)
        return {"seconds": sum(lat) / 1e3, "n": SIGNALS, "lat_ms": lat}

    ground.measure(once, f"signal to next step, {ground.args.n:,} remembered steps replayed")


if __name__ == "__main__":
    main()

"""W8: how late an idle worker begins a step: a timer, a signal, a submit."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import common as c
from benchmarks.ground import Ground
from stepflow import RunSpec

#: seconds between two timers, and until the first
APART_S, AHEAD_S = 0.02, 1.0
#: submits before those that count: the first of a client loads the scripts
WARM = 5


def timers(ground: Ground, n: int) -> list[float]:
    """Lateness of runs that were submitted for a moment."""
    first = time.time() + AHEAD_S
    moments = [first + k * APART_S for k in range(n)]
    runs = ground.client.submit_many(
        RunSpec("late", {"since": moment}, start_at=moment) for moment in moments
    )
    return [run.result(30) for run in runs]


def signals(ground: Ground, n: int) -> list[float]:
    """Lateness of the step after a signal, one parked workflow at a time."""
    return [latency for _ in range(n) for latency in answers(ground, steps=0, signals=1)]


def submits(ground: Ground, n: int) -> list[float]:
    """Lateness of the first step after submit, one run at a time."""
    return [
        ground.client.submit("late", {"since": time.time()}).result(30) for _ in range(WARM + n)
    ][WARM:]


def answers(ground: Ground, *, steps: int, signals: int) -> list[float]:
    """
    Lateness of the step after each of so many signals to one workflow, parked again each time.
    """
    run = ground.client.submit("answer", {"steps": steps, "signals": signals})
    for n in range(signals):
        # How often it has parked shows in the number of its step.
        c.wait_for(lambda n=n: is_parked(ground, run.id, n), 60, 0.001)
        ground.client.signal(run.id, "go", time.time())
    return list(run.result(60))


def is_parked(ground: Ground, run_id: str, signals: int) -> bool:
    """Tell whether the run waits for the signal after so many."""
    status = ground.client.status(run_id)
    return status is not None and status.state == "waiting" and status.step >= signals


def main() -> None:
    """Measure and print one line: `--variant timer`, `signal` or `submit`."""
    ground = Ground.of("W8", 200, variant="timer")
    kind = {"timer": timers, "signal": signals, "submit": submits}[ground.args.variant]

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with ground.idle_worker():
            lat = kind(ground, ground.args.n)
        return {"seconds": sum(lat) / 1e3, "n": ground.args.n, "lat_ms": lat}

    ground.measure(once, "until the step began, by its own clock")


if __name__ == "__main__":
    main()

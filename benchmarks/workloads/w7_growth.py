"""
W7: whether a step costs the same when there is more of everything.

Each repetition measures the small case and the grown one back to back, in two databases of one
server, so that the ratio does not depend on the machine's load. The small case is 2,000 runs of 10
steps on one process, with nothing else in Redis.
"""

from __future__ import annotations

from typing import Any

from benchmarks.ground import Ground

#: steps of a case in all, and of each run of the small case
TOTAL, FEW = 20_000, 10
#: runs in progress at once in each process: no more than there are of the longest, or they could
#: not share round trips
AT_ONCE = 20


def fill(ground: Ground, finished: int) -> None:
    """Leave so many finished runs in the database."""
    ground.clean()
    if finished:
        ground.drain([("noop", None)] * finished, finished)


def rate(ground: Ground, runner: str, steps: int, processes: int) -> dict[str, Any]:
    """Take TOTAL steps, in runs of *steps* each."""
    return ground.drain(
        [(runner, {"steps": steps})] * (TOTAL // steps),
        TOTAL,
        concurrency=AT_ONCE,
        processes=processes,
    )


def main() -> None:
    """
    Measure and print one line: `--variant finished-1000`, `steps-100` or `processes-2`, `--runner
    flow`.
    """
    small = Ground.of("W7", TOTAL, variant="finished-1000", runner="chain")
    grown = small.beside(1)
    what, _, number = small.args.variant.partition("-")
    grow = {"finished": 0, "steps": FEW, "processes": 1} | {what: int(number)}
    small.args.variant = f"{small.args.runner}/{small.args.variant}"
    fill(grown, grow["finished"])

    def once(_: int) -> dict[str, Any]:
        small.clean()
        before = rate(small, small.args.runner, FEW, 1)
        after = rate(grown, small.args.runner, grow["steps"], grow["processes"])
        cost, python = after["seconds"] / before["seconds"], "python_us_per_step"
        after["figures"] |= {
            "relative_cost": cost,
            "relative_python": after["figures"][python] / before["figures"][python],
        }
        return after

    small.measure(
        once,
        "cost of a step relative to 2,000 runs of 10 steps, one process",
        steps_per_run=grow["steps"],
    )


if __name__ == "__main__":
    main()

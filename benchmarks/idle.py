"""idle: memory, CPU time and commands of a worker that has nothing to do; `--n` runs are parked."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import common as c
from benchmarks.ground import Ground, Spent

#: seconds that are measured, and seconds before that in which a worker settles
WATCHED_S, SETTLING_S = 10, 3
#: seconds after which the parked runs would wake
LATER_S = 3600


def main() -> None:
    """Measure and print one line; `--n 0` parks none."""
    ground = Ground.of("idle", 10_000, parked=1)

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        parked = ground.args.n if ground.args.parked else 0
        given = {"since": time.time() + LATER_S}
        with ground.idle_worker() as process:
            ground.client.submit_many([("sleep", given)] * parked)
            c.wait_for(lambda: is_parked(ground, parked), 300, 0.1, process)
            time.sleep(SETTLING_S)
            before = Spent.so_far(ground, process)
            time.sleep(WATCHED_S)
            after = Spent.so_far(ground, process)
            peak = c.rss_mb([process.pid])
        figures = {
            "cpu_ms_per_s": (after.python_us - before.python_us) / WATCHED_S / 1e3,
            "commands_per_s": (after.commands - before.commands) / WATCHED_S,
        }
        return {"seconds": WATCHED_S, "n": 1, "rss_mb": round(peak, 1), "figures": figures}

    ground.measure(once, "a worker at rest; `--parked 0` for one without parked workflows")


def is_parked(ground: Ground, count: int) -> bool:
    """Whether all of them sleep."""
    return int(ground.redis.zcard("stepflow:due")) >= count and not ground.redis.llen(
        "rq:queue:default"
    )


if __name__ == "__main__":
    main()

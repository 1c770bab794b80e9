"""doctor: `stepflow doctor` over 100,000 live runs, and how long one call keeps the server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from benchmarks.ground import Ground
from stepflow import RunSpec

#: one in so many runs waits in its queue, the others for their time
ONE_IN = 10
#: runs of one submit, and the seconds that those wait which are not due
AT_ONCE, DELAY_S = 10_000, 7200


def submit(ground: Ground) -> None:
    """Submit the runs; no worker lives."""
    for start in range(0, ground.args.n, AT_ONCE):
        ground.client.submit_many(
            RunSpec("noop", delay=DELAY_S if number % ONE_IN else None)
            for number in range(start, min(start + AT_ONCE, ground.args.n))
        )


def examine(ground: Ground) -> float:
    """Run the command; gives the seconds it took."""
    began = time.perf_counter()
    environment = {**os.environ, "STEPFLOW_REDIS_URL": ground.url}
    command = [sys.executable, "-m", "stepflow", "doctor"]
    subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def longest_call_ms(ground: Ground) -> float:
    """How long the slowest command took the server since its log was emptied."""
    return max((call["duration"] / 1e3 for call in ground.redis.slowlog_get(10_000)), default=0.0)


def main() -> None:
    """Measure and print one line."""
    ground = Ground.of("doctor", 100_000)
    ground.redis.config_set("slowlog-log-slower-than", 500)
    ground.redis.config_set("slowlog-max-len", 10_000)

    def once(number: int) -> dict[str, Any]:
        if not number:
            ground.clean()
            submit(ground)
        ground.redis.slowlog_reset()
        seconds, longest_ms = examine(ground), longest_call_ms(ground)
        return {"seconds": seconds, "n": ground.args.n, "figures": {"longest_call_ms": longest_ms}}

    ground.measure(once, "one in ten waits in its queue, the others for their time")


if __name__ == "__main__":
    main()

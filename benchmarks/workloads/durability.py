"""durability: many chains at once at each durability, on the same disk."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

from benchmarks import servers
from benchmarks.ground import Ground


def main() -> None:
    """
    Measure and print one line.

    The variants are a durability and the server's `appendfsync`: `fsync-always`, say. A replica,
    with the same, is there for `replicated` alone.
    """
    ground = Ground.of("durability", 500, variant="everysec-everysec")
    durability, _, appendfsync = ground.args.variant.partition("-")
    args, before = ground.args, ground.redis.config_get("appendfsync")["appendfsync"]
    os.environ["STEPFLOW_DURABILITY"] = durability  # of the worker

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        runs = [("chain", {"steps": args.steps})] * args.n
        ground.redis.config_set("appendfsync", appendfsync)
        return ground.drain(runs, args.n * args.steps, concurrency=args.n)

    is_replicated = durability == "replicated"
    beside = servers.replica(ground.redis, appendfsync) if is_replicated else nullcontext()
    try:
        with beside:
            ground.measure(once, "submitted first; first to last step", steps_per_run=args.steps)
    finally:
        ground.redis.config_set("appendfsync", before)


if __name__ == "__main__":
    main()

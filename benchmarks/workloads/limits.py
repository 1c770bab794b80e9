"""Limits: what a claim costs with many runs in many lines, and what keys cost that are idle."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.ground import Ground
from stepflow import RunSpec
from stepflow.core.run import RunState
from stepflow.engine.env import Env
from stepflow.store.claims import claim_steps, sources_of
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.run_hash import read_run
from stepflow.store.runs import Fence, finish_run

#: runs that one claim takes at most, as of a worker with so many free slots
BATCH = 50


class Hand:
    """
    Claims and ends runs as a worker does, and takes the time of the claims: with their round trips,
    and as the server's own books have it.
    """

    def __init__(self, ground: Ground) -> None:
        self.env = Env(ground.client.env.keys, ground.client.settings)
        self.connection = SyncConnection(ground.redis, ground.url)
        self._redis = ground.redis
        self.number, self.claim_s, self.server_s, self.count, self.looks = 0, 0.0, 0.0, 0, 0

    def cycle(self) -> int:
        """Claim what may begin, and end it."""
        keys, now = self.env.keys, time.time()
        call = claim_steps(
            keys, sources_of(keys, "default"), given="", stem="bench.", number=self.number,
            lease_s=15.0, limit=BATCH, live_workers=1, worker="bench", now=now,
            runners=("bench",),
        )  # fmt: skip
        self.number += BATCH
        server_began, began = self._in_scripts_s(), time.perf_counter()
        taken = self.connection.call(call).taken
        self.claim_s += time.perf_counter() - began
        self.server_s += self._in_scripts_s() - server_began
        self.looks += 1
        for each in taken:
            run = read_run(each.rq_id[4:-2], each.row, keys)
            fence = Fence(run.token, "0", f"{run.token}ok")
            end = finish_run(keys, run, fence, state=RunState.SUCCEEDED, now=now, ttl_s=60)
            self.connection.call(end)
            self.count += 1
        return len(taken)

    def _in_scripts_s(self) -> float:
        """Say how many seconds the server has spent in scripts so far."""
        stats = self._redis.info("commandstats").get("cmdstat_evalsha", {"usec": 0})
        return float(stats["usec"]) / 1e6


def main() -> None:
    """Measure and print one line: `--variant many`, or `none` for runs without limits."""
    ground = Ground.of("limits", 100_000, variant="many")
    variant, n = ground.args.variant, ground.args.n
    keys = max(1, n // 10)

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        ground.client.limits.set("bench", concurrency=1)
        for first in range(0, n, 5000):
            numbers = range(first, min(n, first + 5000))
            named = {k: {} if variant == "none" else {"bench": f"k{k % keys}"} for k in numbers}
            ground.client.submit_many(
                RunSpec("bench", run_id=f"r{k}", limits=named[k]) for k in numbers
            )
        hand = Hand(ground)
        while ground.redis.llen("rq:queue:default"):  # nine of ten wait in line meanwhile
            hand.cycle()
        left = [each for each in ground.redis.keys("stepflow:*") if b":bench:" in each]
        if hand.count != n or left:
            raise RuntimeError(f"{hand.count} of {n} runs ended; limits keep {left[:5]}")
        figures = {"server_ms": hand.server_s / n * 1e3}
        return {
            "seconds": hand.claim_s, "n": n, "lat_ms": [hand.claim_s / n * 1e3], "figures": figures,
        }  # fmt: skip

    ground.measure(once, "claims of up to 50 runs, divided by the runs, with their round trips")


if __name__ == "__main__":
    main()

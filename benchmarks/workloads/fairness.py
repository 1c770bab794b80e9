"""Fairness: how long tenants with little wait beside one with a few, or 100,000, runs; weights."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

from benchmarks import common as c
from benchmarks.ground import Ground
from stepflow import RunSpec

#: slots of the worker; its steps sleep for 100 ms, so it begins 200 a second
SLOTS = 20
#: submits a second of all tenants with little together, and for how long
RATE, LASTS_S = 40, 10.0
#: runs of the busy tenant that wait while it has little
FEW = 20
#: the weights of two tenants that have much, and how many of their runs are looked at
WEIGHTS, LOOKED_AT = {"one": 1, "three": 3}, 4000


def waits(ground: Ground, tenants: int, dice: random.Random, *, busy: bool) -> list[float]:
    """
    Submit as time passes, each from one of the tenants with little; gives how long each waited.

    A *busy* one has all slots occupied meanwhile, and never more than a few runs that wait.
    """
    runs, begun = [], time.time()
    for number in range(int(RATE * LASTS_S)):
        time.sleep(max(0.0, begun + number / RATE - time.time()))
        tenant = f"t{dice.randrange(1, tenants)}"
        runs.append(ground.client.submit("turn", {"since": time.time()}, lane=tenant))
        if busy and ground.redis.zcard("stepflow:lane:default:heavy") < FEW:
            much(ground, {"heavy": FEW})
    return [run.result(60) for run in runs]


def much(ground: Ground, lanes: dict[str, int]) -> None:
    """Submit that many runs for each of these lanes."""
    for lane, count in lanes.items():
        ground.client.submit_many(RunSpec("turn", {"since": 0.0}, lane=lane) for _ in range(count))


def beside(ground: Ground, tenants: int) -> dict[str, Any]:
    """Measure the waits of the others: idle, beside one with a few runs, and with very many."""
    dice = random.Random(tenants)
    ground.clean()
    with ground.worker(SLOTS) as process:
        c.wait_for(ground.client.workers, 30, 0.02, process)
        idle = waits(ground, tenants, dice, busy=False)
        few = waits(ground, tenants, dice, busy=True)
        much(ground, {"heavy": ground.args.n})
        many = waits(ground, tenants, dice, busy=False)
        left = sum(queue.length for queue in ground.client.queues())
    if not left:
        raise RuntimeError("the tenant with much was through before the others; raise --n")
    figures = {
        "idle_p99_ms": c.pct(idle, 99), "few_p50_ms": c.pct(few, 50), "few_p99_ms": c.pct(few, 99),
        "ratio_p99": c.pct(many, 99) / c.pct(few, 99),
    }  # fmt: skip
    return {"seconds": LASTS_S, "n": len(many), "lat_ms": many, "figures": figures}


def shares(ground: Ground) -> dict[str, Any]:
    """Measure who is served how often, of two that have more than enough."""
    ground.clean()
    for lane, weight in WEIGHTS.items():
        ground.client.set_weight("default", lane, weight)
    much(ground, dict.fromkeys(WEIGHTS, LOOKED_AT))
    begun = time.time()
    with ground.worker(SLOTS) as process:
        c.wait_for(lambda: len(done(ground)) >= LOOKED_AT, 60, 0.05, process)
    found = Counter(done(ground))
    figures = {"three_to_one": found["three"] / found["one"]}
    return {"seconds": time.time() - begun, "n": found.total(), "figures": figures}


def done(ground: Ground) -> list[str]:
    """Name the lanes of the runs that have ended."""
    ids = ground.redis.zrange("stepflow:idx:ended:succeeded", 0, -1)
    with ground.redis.pipeline(transaction=False) as pipe:
        for run_id in ids:
            pipe.hget(b"stepflow:run:" + run_id, "lane")
        return [lane.decode() for lane in pipe.execute()]


def main() -> None:
    """Measure and print one line: `--variant` is how many tenants there are, or `weights`."""
    ground = Ground.of("fairness", 100_000, variant="2")
    variant = ground.args.variant

    def once(_: int) -> dict[str, Any]:
        return shares(ground) if variant == "weights" else beside(ground, int(variant))

    ground.measure(once, "until the step of a tenant with little began, beside one with much")


if __name__ == "__main__":
    main()

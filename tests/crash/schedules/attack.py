"""
Schedules while workers are killed all the time, replies are lost, and the server is killed once.

At full size, by hand: `python -m tests.crash.schedules.attack --workers 8 --schedules 1000`.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass

from stepflow import Client
from tests.crash.support.cluster import Cluster
from tests.crash.support.on_time import OnTime
from tests.crash.support.proxy import LOSE, PASS, Proxy
from tests.crash.support.waiting import PATIENCE_S

#: scripts whose replies are lost: what fires a time, and what brings a worker to do so
LOST = {"fire_schedule", "write_schedule", "move_due", "finish_run"}

#: kills that there are, however slow the machine is
LEAST = 5


@dataclass
class Attack:
    """What went on, and what was wrong when all had ended."""

    kills: int
    lost: int
    expected: list[str]
    on_time: OnTime
    wrong: list[str]


def attack(
    cluster: Cluster,
    *,
    workers: int,
    many: int,
    skipping: int,
    lasts_s: float,
    every_s: int,
    seed: int,
    patience_s: float = PATIENCE_S,
    share: float = 0.1,
) -> Attack:
    """Have schedules fire while workers and the server die and replies are lost."""
    dice, lost, kills = random.Random(seed), random.Random(seed), 0
    with Proxy(cluster.server.socket, cluster.folder / "lossy.sock") as proxy:
        cluster.environment["STEPFLOW_REDIS_URL"] = proxy.url
        proxy.rule = lambda name: LOSE if name in LOST and lost.random() < share else PASS
        living = [cluster.worker("--concurrency", "50") for _ in range(workers)]
        on_time = OnTime(cluster.client, many, skipping=skipping, every_s=every_s)
        end = time.monotonic() + lasts_s
        while time.monotonic() < end or kills < LEAST:
            living.pop(dice.randrange(len(living))).kill()
            kills += 1
            living.append(cluster.worker("--concurrency", "50", ready=False))
            if kills == 4:
                cluster.server.kill()
                cluster.server.start()
            living[0].has_said("listens to")
            time.sleep(dice.random())
        expected = on_time.stop(patience_s)
        cluster.all_ended(expected)
        skipped = [run_id for name in on_time.skipping for run_id in on_time.runs(name)]
        cluster.all_ended(skipped)
        wrong = on_time.wrong()
        wrong += [
            f"run {run_id} has ended otherwise"
            for run_id in expected
            if cluster.status(run_id).state != "succeeded"
        ]
        for process in cluster.processes:
            process.kill_group()
        return Attack(kills, proxy.count(LOSE), expected, on_time, wrong)


def main() -> None:
    """Attack at the size given, and print what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.02, help="of the replies that are lost")
    given = parser.parse_args()
    with Cluster() as cluster:
        seen = attack(
            cluster, workers=given.workers, many=given.schedules, skipping=0,
            lasts_s=given.seconds, every_s=given.every, seed=given.seed, patience_s=600,
            share=given.share,
        )  # fmt: skip
        made = sum(1 for _ in runs_of(cluster.client, seen.expected))
    print(
        f"{given.schedules} schedules, {given.workers} workers, {seen.kills} kills, "
        f"{seen.lost} replies lost: {len(seen.expected)} times, {made} runs"
    )
    print("\n".join(seen.wrong) or "nothing is wrong")


def runs_of(client: Client, expected: list[str]) -> list[str]:
    """Give the runs that are there."""
    return [run_id for run_id in expected if client.status(run_id) is not None]


if __name__ == "__main__":
    main()

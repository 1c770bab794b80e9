"""taskiq on Redis (W3, W4), one worker process, no result backend, by list or stream broker."""

from __future__ import annotations

import asyncio
import os

from taskiq_redis import ListQueueBroker, RedisStreamBroker

from benchmarks import common as c
from benchmarks.peers import queues

BROKERS = {"list": ListQueueBroker, "stream": RedisStreamBroker}
broker = BROKERS[os.environ.get("BENCH_BROKER", "list")](os.environ["BENCH_REDIS"])


@broker.task(task_name="noop")
async def noop(n: int) -> None:
    c.hit()


@broker.task(task_name="nap")
async def nap(n: int) -> dict[str, int]:
    await asyncio.sleep(1)
    c.hit()
    return {"n": n}


def main() -> None:
    args = c.args(["W3", "W4"], variant="list")
    task, most = (noop, "100") if args.workload == "W3" else (nap, "2000")

    async def enqueue() -> int:
        target = BROKERS[args.variant](args.redis)
        await target.startup()
        for batch in queues.batches(args.n, 50):
            await asyncio.gather(*(task.kicker().with_broker(target).kiq(n) for n in batch))
        await target.shutdown()
        return args.n

    command = [
        "taskiq",
        "worker",
        "benchmarks.peers.taskiq:broker",
        "--workers",
        "1",
        "--log-level",
        "ERROR",
    ]
    queues.jobs(
        args, "taskiq", lambda: asyncio.run(enqueue()), [*command, "--max-async-tasks", most],
        env={"BENCH_BROKER": args.variant}, notes=f"max-async-tasks {most}",
        versions=c.version("taskiq", "taskiq-redis", "redis", "hiredis"),
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""The ceiling: a script of ten commands, pipelined by 50 from Python, at the server's own speed."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import common as c
from stepflow.store.connection.address import Address
from stepflow.store.connection.redis_py import connect

LUA = """
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'status', 'running', 'n', '1', 'at', '1700000000',
  'worker', 'w1', 'res', ARGV[2])
redis.call('HSET', KEYS[2], 'id', ARGV[1], 'status', 'done', 'n', '1', 'at', '1700000000',
  'worker', 'w1', 'res', ARGV[2])
redis.call('RPUSH', KEYS[3], ARGV[1])
redis.call('LPOP', KEYS[3])
redis.call('ZADD', KEYS[4], 1700000000, ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('EXPIRE', KEYS[1], 3600)
redis.call('EXPIRE', KEYS[2], 3600)
redis.call('HINCRBY', KEYS[1], 'n', 1)
return redis.call('HGET', KEYS[1], 'n')
"""
PAYLOAD = "x" * 50
SCRIPTS = 20_000
BATCH = 50


def once(redis: Any, sha: str) -> dict[str, Any]:
    """Run the scripts once, in pipelines of 50."""
    redis.flushall()
    began = time.perf_counter()
    for first in range(0, SCRIPTS, BATCH):
        with redis.pipeline(transaction=False) as pipe:
            for i in range(first, first + BATCH):
                pipe.evalsha(
                    sha,
                    4,
                    f"run:{i % 10000}",
                    f"step:{i % 10000}",
                    "q:bench",
                    "z:bench",
                    i,
                    PAYLOAD,
                )
            pipe.execute()
    return {"seconds": time.perf_counter() - began, "n": SCRIPTS}


def main() -> None:
    """Measure and print one line."""
    args = c.args(["limit"])
    redis = connect(Address.parse(args.redis))
    sha = redis.script_load(LUA)
    c.measure(
        args,
        "redis-limit",
        lambda _: once(redis, sha),
        unit="scripts",
        notes="10 commands a script, pipelined by 50",
    )


if __name__ == "__main__":
    main()

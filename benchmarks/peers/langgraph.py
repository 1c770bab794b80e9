"""
LangGraph: a line of nodes with a checkpointer, in process (W1, W2, W4).

Nobody resumes a run by itself. Variants: where checkpoints go, and when: `sync` before the next
node starts, `async` is LangGraph's default.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, TypedDict
from uuid import uuid4

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks import common as c

#: graphs at a time in W1
AT_ONCE = 50


class State(TypedDict):
    n: int


async def one(state: State) -> State:
    c.hit()
    return {"n": state["n"] + 1}


async def nap(state: State) -> State:
    await asyncio.sleep(1)
    return await one(state)


@asynccontextmanager
async def saver(kind: str) -> AsyncIterator[Any]:
    """Open a checkpointer on a new database."""
    if kind == "memory":
        yield InMemorySaver()
    elif kind == "sqlite":
        path = tempfile.mkdtemp(prefix="stepflow-bench-") + "/checkpoints.sqlite"
        async with AsyncSqliteSaver.from_conn_string(path) as found:
            await found.setup()
            yield found
    else:
        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        async with AsyncConnectionPool(
            os.environ["BENCH_PG"], min_size=4, max_size=20, timeout=120, kwargs=options
        ) as pool:
            found = AsyncPostgresSaver(pool)
            await found.setup()
            yield found


@asynccontextmanager
async def graph(kind: str, steps: int, node: Any) -> AsyncIterator[Any]:
    """Compile a line of *steps* nodes."""
    line = StateGraph(State)
    names = [START] + [f"s{n}" for n in range(steps)]
    for before, name in pairwise(names):
        line.add_node(name, node)
        line.add_edge(before, name)
    async with saver(kind) as checkpointer:
        yield line.compile(checkpointer=checkpointer)


def main() -> None:
    args = c.args(["W1", "W2", "W4"], variant="sqlite-sync")
    kind, durability = args.variant.split("-")
    at_once = {"W1": AT_ONCE, "W2": 1, "W4": args.n}[args.workload]
    line = (1, nap) if args.workload == "W4" else (args.steps, one)

    async def run() -> tuple[float, list[float]]:
        async with graph(kind, *line) as compiled:
            turn = asyncio.Semaphore(at_once)

            async def go() -> float:
                async with turn:
                    began = time.perf_counter()
                    thread = {"configurable": {"thread_id": uuid4().hex}}
                    await compiled.ainvoke({"n": 0}, thread, durability=durability)
                    return (time.perf_counter() - began) * 1e3

            await go()
            began = time.perf_counter()
            lat = await asyncio.gather(*(go() for _ in range(args.n)))
            return time.perf_counter() - began, lat

    def once(_: int) -> dict[str, Any]:
        rss = c.PeakRSS(os.getpid())
        seconds, lat = asyncio.run(run())
        found = {"seconds": seconds, "n": args.n, "rss_mb": rss.done()}
        return found | {"lat_ms": lat} if args.workload == "W2" else found

    packages = ["langgraph", "langgraph-checkpoint-sqlite", "langgraph-checkpoint-postgres"]
    c.measure(
        args, "langgraph", once, unit="runs", versions=c.version(*packages),
        notes=f"ainvoke, {at_once} at a time",
        steps_per_run=None if args.workload == "W4" else args.steps,
    )  # fmt: skip


if __name__ == "__main__":
    main()

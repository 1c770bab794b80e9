"""
The first page of each list, with a thousand finished runs and with a million.

The indexes are filled by a pipeline, a few records behind their newest members: a first page reads
no others. Beside it, the bytes that a tag of a kept run costs, and the dashboard's pages with the
million.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from benchmarks.ground import Ground
from stepflow import AsyncClient, RunSpec
from stepflow.store.keys import Keys
from stepflow.web import app, everything

#: finished runs in the small case; `--n` are those in the large one
FEW = 1_000
#: records that there are: those of the newest runs, of which the dashboard looks at 200
RECORDS = 250
#: first pages read of each list
PAGES = 40
KEYS = Keys()
#: pages of the dashboard, and looks at each after one that loads the code
DASHBOARD = {"now": "", "runs": "runs", "failed": "runs?q=state%3Dfailed", "failures": "failures"}
LOOKS = 20
#: the lists, and what the client is asked for
LISTS: Mapping[str, Mapping[str, Any]] = {
    "all": {}, "state": {"state": "failed"}, "runner": {"runner": "noop"},
    "both": {"state": "failed", "runner": "noop"}, "tag": {"tags": {"tenant": "acme"}},
}  # fmt: skip


def fill(ground: Ground, size: int) -> None:
    """Have so many failed runs of one runner and tag stand in the indexes."""
    ground.clean()
    specs = (
        RunSpec("noop", run_id=f"r{n:09}", tags={"tenant": "acme"})
        for n in range(size - RECORDS, size)
    )
    for run in ground.client.submit_many(specs):
        ground.client.fail(run.id)
    indexes = [
        KEYS.ended_index("failed"), KEYS.runner_index("failed", "noop"),
        KEYS.tag_index("tenant=acme"),
    ]  # fmt: skip
    long_ago = time.time() - 10 * size
    for part in _parts(size - RECORDS):
        with ground.redis.pipeline(transaction=False) as pipe:
            members = {f"r{n:09}": long_ago + n for n in part}
            for index in indexes:
                pipe.zadd(index, members)
            pipe.execute()


def _parts(size: int, of: int = 10_000) -> Iterator[range]:
    for start in range(0, size, of):
        yield range(start, min(start + of, size))


def page_ms(ground: Ground, by: Mapping[str, Any]) -> float:
    """Read the first page of a list: milliseconds."""
    began = time.perf_counter()
    page = ground.client.list(**by)
    if len(page) != 50:
        raise RuntimeError(f"a page of {len(page)} runs")
    return (time.perf_counter() - began) * 1e3


async def dashboard_ms(url: str) -> dict[str, float]:
    """Ask for pages of the dashboard in this process: the median milliseconds of each."""
    figures: dict[str, float] = {}
    async with AsyncClient(url) as client:
        transport = httpx.ASGITransport(app(client, access=everything))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            for name, place in DASHBOARD.items():
                took = []
                for _ in range(LOOKS + 1):
                    began = time.perf_counter()
                    (await http.get(f"/ui/{place}")).raise_for_status()
                    took.append((time.perf_counter() - began) * 1e3)
                figures[f"page_{name}_ms"] = statistics.median(took[1:])
    return figures


def tag_bytes(ground: Ground, runs: int = 1_000) -> float:
    """Give the bytes that one tag of a kept run costs."""
    used = []
    for tags in ({}, {"tenant": "acme"}):
        ground.clean()
        specs = [RunSpec("noop", run_id=f"r{n:09}", tags=tags) for n in range(runs)]
        for run in ground.client.submit_many(specs):
            ground.client.cancel(run.id)
        used.append(int(ground.redis.info("memory")["used_memory_dataset"]))
    return (used[1] - used[0]) / runs


def main() -> None:
    """Measure and print one line; once, for filling takes a while."""
    ground = Ground.of("lists", 1_000_000)

    def once(_: int) -> dict[str, Any]:
        figures: dict[str, float] = {"tag_bytes": tag_bytes(ground)}
        began, every = time.perf_counter(), list[float]()
        few, many = ground.beside(1), ground.beside(2)
        fill(few, FEW)
        fill(many, ground.args.n)
        for what, by in LISTS.items():
            # in turn, so that whatever else the machine does slows both
            pairs = [(page_ms(few, by), page_ms(many, by)) for _ in range(PAGES)]
            small, large = (statistics.median(times) for times in zip(*pairs, strict=True))
            every += [ms for pair in pairs for ms in pair]
            figures |= {
                f"{what}_few_ms": small, f"{what}_many_ms": large, f"{what}_ratio": large / small,
            }  # fmt: skip
        figures |= asyncio.run(dashboard_ms(many.url))
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "n": ground.args.n, "lat_ms": every, "figures": figures}

    ground.args.reps = 1
    ground.measure(once, f"median of {PAGES} first pages of 50, with {FEW:,} runs and with n")


if __name__ == "__main__":
    main()

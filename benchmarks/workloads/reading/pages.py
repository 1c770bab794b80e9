"""
pages: the page of a run that is as large as runs get, on the server and in bytes.

`--variant chain` has 100,000 steps of a StepRunner, `journal` 5,000 entries of a workflow, `map`
10,000 children. The page is asked for in this process: what is measured is reading, laying out and
writing it, gzip included.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from benchmarks.ground import Ground
from stepflow import AsyncClient
from stepflow.web import app, everything

#: what each variant submits
RUNS: dict[str, tuple[str, dict[str, int]]] = {
    "chain": ("chain", {"steps": 100_000}),
    "journal": ("flow", {"steps": 5000}),
    "map": ("tree", {"children": 10_000}),
}
#: pages asked for, after one that loads the code
LOOKS = 10


async def look(url: str, run_id: str) -> tuple[list[float], int]:
    """Ask for the page again and again: milliseconds of each, and its bytes before compression."""
    async with AsyncClient(url) as client:
        transport = httpx.ASGITransport(app(client, access=everything))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            took: list[float] = []
            for _ in range(LOOKS + 1):
                began = time.perf_counter()
                answer = await http.get(f"/ui/runs/{run_id}")
                took.append((time.perf_counter() - began) * 1e3)
                answer.raise_for_status()
            return took[1:], len(answer.content)


def main() -> None:
    """Measure and print one line."""
    ground = Ground.of("pages", 1, variant="chain")
    runner, given = RUNS[ground.args.variant]

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with ground.worker():
            run = ground.client.submit(runner, given)
            run.wait(600)
        lat, size = asyncio.run(look(ground.url, run.id))
        return {
            "seconds": sum(lat) / 1e3, "n": LOOKS, "lat_ms": lat, "figures": {"kb": size / 1e3},
        }  # fmt: skip

    ground.measure(once, f"the page of a {runner} of {next(iter(given.values())):,}")


if __name__ == "__main__":
    main()

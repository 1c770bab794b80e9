"""batch: a workflow over ten thousand items on one worker process, against a smaller one."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.ground import Ground

#: items of the small case
FEW = 1000


def main() -> None:
    """Measure and print one line; a unit is an item."""
    ground = Ground.of("batch", 10_000)

    def carried(items: int) -> float:
        began = time.perf_counter()
        total = ground.client.submit("batch", {"items": items}).result(300)
        if total != sum(range(items)):
            raise RuntimeError(f"{items} items gave {total}")
        return time.perf_counter() - began

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with ground.idle_worker(processes=1):
            before_s, after_s = carried(FEW), carried(ground.args.n)
        relative = (after_s / ground.args.n) / (before_s / FEW)
        return {"seconds": after_s, "n": ground.args.n, "figures": {"relative_cost": relative}}

    ground.measure(once, f"submit to result; relative to {FEW:,} items")


if __name__ == "__main__":
    main()

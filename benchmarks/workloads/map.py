"""map: a workflow over ten thousand children on two worker processes, against a smaller one."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.ground import Ground

#: children of the small case
FEW = 1000


def main() -> None:
    """Measure and print one line; a unit is a child."""
    ground = Ground.of("map", 10_000)

    def mapped(children: int) -> float:
        began = time.perf_counter()
        total = ground.client.submit("tree", {"children": children}).result(300)
        if total != sum(range(children)):
            raise RuntimeError(f"{children} children gave {total}")
        return time.perf_counter() - began

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with ground.idle_worker(processes=2):
            before_s, after_s = mapped(FEW), mapped(ground.args.n)
        relative = (after_s / ground.args.n) / (before_s / FEW)
        return {"seconds": after_s, "n": ground.args.n, "figures": {"relative_cost": relative}}

    ground.measure(once, f"submit to result; relative to {FEW:,} children")


if __name__ == "__main__":
    main()

"""W5: how many runs a second `submit_many` takes."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.ground import Ground


def main() -> None:
    """Measure and print one line."""
    ground = Ground.of("W5", 20_000)

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        specs = [("noop", {"n": n}) for n in range(ground.args.n)]
        began = time.perf_counter()
        ground.client.submit_many(specs)
        return {"seconds": time.perf_counter() - began, "n": ground.args.n}

    ground.measure(once, "one call")


if __name__ == "__main__":
    main()

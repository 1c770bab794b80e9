"""archive: W1 with an archive and without; how fast what has ended is archived then."""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import common as c
from benchmarks.ground import Ground
from stepflow.store.runs.to_archive import ends_key


def main() -> None:
    """Measure and print one line."""
    ground = Ground.of("archive", 2000, variant="on")
    args = ground.args
    key = ends_key(ground.client.env.keys)

    def archived(process: c.Proc) -> dict[str, float]:
        """Wait until what has ended is archived."""
        left, began = int(ground.redis.zcard(key)), time.monotonic()
        c.wait_for(lambda: not ground.redis.zcard(key), 600, 0.005, process)
        return {"ends_left": left, "archived_per_s": left / (time.monotonic() - began)}

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        runs, steps = [("chain", {"steps": args.steps})] * args.n, args.n * args.steps
        if args.variant == "off":
            return ground.drain(runs, steps)
        with TemporaryDirectory() as folder:
            os.environ["STEPFLOW_ARCHIVE_URL"] = f"sqlite:///{Path(folder)}/archive.db"
            return ground.drain(runs, steps, after=archived)

    ground.measure(once, "submitted first; first to last step", steps_per_run=args.steps)


if __name__ == "__main__":
    main()

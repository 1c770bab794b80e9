"""W4: runs of one step that awaits `asyncio.sleep(1)`, all at once in one worker process."""

from __future__ import annotations

from typing import Any

from benchmarks.ground import Ground


def main() -> None:
    """
    Measure and print one line.

    Timed like the peers: the last wake-up minus the first, plus the second slept.
    """
    ground = Ground.of("W4")

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        found = ground.drain([("nap", 1)] * ground.args.n, ground.args.n, concurrency=ground.args.n)
        return found | {
            "seconds": found["seconds"] + 1,
            "figures": {},
        }  # its books open at the first wake-up: too late

    ground.measure(once, "submitted first; first to last wake-up, and the second slept")


if __name__ == "__main__":
    main()

"""W3: one-step no-op runs, all submitted first, one worker process."""

from __future__ import annotations

from typing import Any

from benchmarks.ground import Ground


def main() -> None:
    """Measure and print one line."""
    ground = Ground.of("W3")

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        return ground.drain([("noop", None)] * ground.args.n, ground.args.n)

    ground.measure(once, "submitted first; first to last step")


if __name__ == "__main__":
    main()

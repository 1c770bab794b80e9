"""W1: runs of ten trivial steps, submitted first, one worker; `--variant flow` uses ctx.step."""

from __future__ import annotations

from typing import Any

from benchmarks.ground import Ground


def main() -> None:
    """Measure and print one line."""
    ground = Ground.of("W1", variant="chain")
    args = ground.args

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        return ground.drain([(args.variant, {"steps": args.steps})] * args.n, args.n * args.steps)

    ground.measure(once, "submitted first; first to last step", steps_per_run=args.steps)


if __name__ == "__main__":
    main()

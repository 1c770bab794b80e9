"""What a harness tells a test that went wrong."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.errors import StepflowError


class RunUnfinished(StepflowError):
    """The end was asked of a run that cannot go on by itself."""

    def __init__(self, run_id: str, waits_for: str) -> None:
        super().__init__(
            f"run {run_id!r} has not ended, it waits for {waits_for}; send what it waits for, or "
            "advance the clock"
        )


class HarnessStuck(StepflowError):
    """User code runs for longer than the harness has patience."""

    def __init__(self, patience_s: float, busy: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(busy)}: still running after {patience_s:g} s of real time; mock it, or "
            "wait in it with "
            "`await harness.sleep(...)`, which the harness's clock ends"
        )


class NeverHappened(StepflowError):
    """A crash was asked for at a step that was never written."""

    def __init__(self, names: Sequence[str], called: Sequence[str]) -> None:
        super().__init__(
            f"crash_after({', '.join(map(repr, names))}) never happened; steps called: "
            f"{', '.join(called) or 'none'}"
        )


class ReplayMismatch(StepflowError):
    """A remembered history does not fit today's code."""

    def __init__(self, run_id: str, difference: str) -> None:
        super().__init__(f"run {run_id!r} no longer fits today's code: {difference}")

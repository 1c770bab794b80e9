"""What a harness raises when a test goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepflow.errors import StepflowError


class RunUnfinished(StepflowError):
    """You asked for the end of a run that cannot go on by itself."""

    def __init__(self, run_id: str, waits_for: str) -> None:
        super().__init__(
            f"run {run_id!r} has not ended, it waits for {waits_for}; send what it waits for, or "
            "advance the clock"
        )


class HarnessNotBegun(StepflowError):
    """You used a harness that was made and not entered; no run would go on in it."""

    def __init__(self) -> None:
        super().__init__("this harness has not begun; write `async with Harness(app) as h:`")


class HarnessStuck(StepflowError):
    """A step has been running for longer than the harness's *patience_s*, in real seconds."""

    def __init__(self, patience_s: float, busy: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(busy)}: still running after {patience_s:g} s of real time; mock it, or "
            "wait in it with `await harness.sleep(...)`, which the harness's clock ends"
        )


class NeverHappened(StepflowError):
    """You asked for a crash after a step that was never written."""

    def __init__(self, names: Sequence[str], called: Sequence[str]) -> None:
        super().__init__(
            f"crash_after({', '.join(map(repr, names))}) never happened; steps called: "
            f"{', '.join(called) or 'none'}"
        )


class MockNotUsed(StepflowError):
    """A mock stood for no step, and a step with almost its name called its own function."""

    def __init__(self, meant: Mapping[str, str]) -> None:
        each = "; ".join(
            f"mock({name!r}) stood for no step, and step {near!r} called its own function"
            for name, near in meant.items()
        )
        super().__init__(f"{each}. Write mock(..., optional=True) if the name is right")


class ReplayMismatch(StepflowError):
    """A recorded history does not fit today's code."""

    def __init__(self, run_id: str, difference: str) -> None:
        super().__init__(f"run {run_id!r} no longer fits today's code: {difference}")

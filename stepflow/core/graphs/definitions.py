"""Names by which the core knows workflows that are data; what they are is `kits/definition`'s."""

from __future__ import annotations

from stepflow.core.ids import check_name

#: the runner of all definitions
RUNNER = "definition"
#: the runner of a step on another queue
STEP_RUNNER = f"step:{RUNNER}"
#: how the step is called, and keyed, that remembers that another was skipped
SKIPPED = "{} skipped"


def capability_runner(capability: str) -> str:
    """Name the runner that does steps which require *capability*; lists of runners hide it."""
    return check_name("runner", f"{STEP_RUNNER}.{capability}")


def runner_in_words(runner: str) -> str:
    """Write `runner 'etl'`, or which capability a runner stands for."""
    _, is_capability, capability = runner.partition(f"{STEP_RUNNER}.")
    return f"capability {capability!r}" if is_capability else f"runner {runner!r}"

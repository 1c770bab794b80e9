"""What is read of a run."""

from __future__ import annotations

from stepflow.core.run import Run
from stepflow.store.calls import NO_HASH, Call, command, flat_map, load_hash, raw
from stepflow.store.keys import Keys
from stepflow.store.run_hash import read_run


def load_run(keys: Keys, run_id: str) -> Call[Run | None]:
    """Read the run's row; None when there is none. What cannot be read is said in its `damage`."""
    return command(
        "HGETALL", keys.run(run_id),
        read=lambda reply: read_run(run_id, flat_map(reply), keys) if reply else None,
        misfit=lambda: read_run(run_id, NO_HASH, keys),
    )  # fmt: skip


def load_data(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's payload, result, error and spec, packed."""
    return load_hash(f"{keys.run(run_id)}:data")


def load_spec(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read what the run kept of its submit, packed: headers, parent and others."""
    return command("HGET", f"{keys.run(run_id)}:data", "spec", read=raw, misfit=lambda: None)


def load_steps(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's step records."""
    return load_hash(f"{keys.run(run_id)}:steps")

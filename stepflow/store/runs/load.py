"""What is read of a run."""

from __future__ import annotations

from stepflow.core.run import Run
from stepflow.store.calls import NO_HASH, Call, command, flat_map, load_hash, raw
from stepflow.store.keys import Keys
from stepflow.store.run_hash import read_run

#: the fields of a run's data that are small
_OUTLINE = ("spec", "error", "reason", "tags", "tried", "undo_errors")
#: what a run may keep beside its record, its data and its steps
_BESIDE = ("journal", "vars", "kv", "mail", "out")


def load_run(keys: Keys, run_id: str) -> Call[Run | None]:
    """Read the run's row; None when there is none. What cannot be read is said in its `damage`."""
    return command(
        "HGETALL", keys.run(run_id),
        read=lambda reply: read_run(run_id, flat_map(reply), keys) if reply else None,
        misfit=lambda: read_run(run_id, NO_HASH, keys),
    )  # fmt: skip


def load_row(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's row as it is kept."""
    return load_hash(keys.run(run_id))


def load_data(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's payload, result, error and spec, packed."""
    return load_hash(f"{keys.run(run_id)}:data")


def load_outline(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read what `load_data` reads, without the payload and the result, which may be large."""
    return command(
        "HMGET", f"{keys.run(run_id)}:data", *_OUTLINE,
        read=lambda held: {
            name.encode(): value for name, value in zip(_OUTLINE, held, strict=True) if value
        },
        misfit=lambda: NO_HASH,
    )  # fmt: skip


def load_spec(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read what the run kept of its submit, packed: headers, parent and others."""
    return command("HGET", f"{keys.run(run_id)}:data", "spec", read=raw, misfit=lambda: None)


def load_error(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read the error of a run that has failed, packed."""
    return command("HGET", f"{keys.run(run_id)}:data", "error", read=raw, misfit=lambda: None)


def load_steps(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's step records."""
    return load_hash(f"{keys.run(run_id)}:steps")


def load_rev(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read the run's rev as it is kept: to see whether the run has changed."""
    return command("HGET", keys.run(run_id), "rev", read=raw, misfit=lambda: None)


def count_beside(keys: Keys, run_id: str) -> Call[int]:
    """Count what the run keeps beside record and steps: journal, signals, values, output."""
    base = keys.run(run_id)
    return command("EXISTS", *(f"{base}:{end}" for end in _BESIDE), read=int)

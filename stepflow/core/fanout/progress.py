"""How far a batch has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How many items of a batch of *total* have succeeded, and how many have failed for good."""

    total: int
    succeeded: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        """How many have their answer."""
        return self.succeeded + self.failed

    @property
    def is_done(self) -> bool:
        """Whether all have their answer."""
        return self.done >= self.total

    def __str__(self) -> str:
        """Write it as people read it: `412 of 500, 3 failed`."""
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.done:,} of {self.total:,}{failed}"

"""The archive: it does not answer, cannot be used as it is set up, or lacks what was asked for."""

from __future__ import annotations

from stepflow.errors.data import DataError
from stepflow.errors.run_state import RunStateError
from stepflow.errors.server import UnavailableError
from stepflow.errors.usage import UsageError


class ArchiveUnreachable(UnavailableError):
    """The archive's database does not answer, or refuses for now."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(
            f"the archive at {url} does not answer ({problem}); start it or correct the URL"
        )


class ArchiveMisconfigured(UsageError):
    """The archive cannot be used as it is set up: its URL, driver, rights or schema."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"the archive cannot be used: {problem}; {hint}")


class ArchiveConflict(UsageError):
    """The archive's database refuses a row: it does not fit what is there."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(
            f"the archive at {url} refuses what is to be written ({problem}); "
            "look at the tables stepflow_..., which nothing else may change"
        )


class NotArchived(RunStateError):
    """The archive has nothing of that name: no run, or no snapshot of it."""

    def __init__(self, run_id: str, what: str = "run") -> None:
        self.run_id = run_id
        named = f"no run {run_id!r}" if what == "run" else f"no {what} of run {run_id!r}"
        super().__init__(f"the archive has {named}; `stepflow list --archived` lists its runs")


class UnreadableArchive(DataError):
    """A row of the archive cannot be read: something else wrote it, or it is damaged."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(f"{what} in the archive cannot be read: {problem}")

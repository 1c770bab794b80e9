"""What a parked workflow waits for, as its record keeps it for those who ask why it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepflow.core.briefs import opened_brief

#: commands of one run that are kept
MOST_OPEN = 20
#: parts of a command that every record of it has; the error of a failed attempt may follow
_PARTS = 5


class OpenCommand(NamedTuple):
    """
    One command that a parked run waits for.

    *kind* is `step`, `sleep`, `timer` (of the workflow's own code), `signal`, `question`, `child`,
    `map` or `children` (of a run that is being stopped); *name* is what its place calls it: of a
    signal the names that it takes, with commas. *awaited_id* is the run, map or question
    that it waits for.
    """

    kind: str
    place: str
    name: str
    #: when (unix seconds) it is due: the end of a sleep, a timeout, the next attempt; 0 for never
    due_at: float = 0.0
    awaited_id: str = ""
    #: `Type: message` of the attempt that failed last
    last_error: str = ""

    def parts(self) -> list[Any]:
        """Return what is packed of it."""
        return [*self] if self.last_error else [*self[:_PARTS]]

    @classmethod
    def read(cls, parts: Sequence[Any]) -> OpenCommand:
        """Read it back; raises ValueError or TypeError for anything else."""
        kind, place, name, due_at, awaited_id, *more = parts
        texts = (kind, place, name, awaited_id, *more[:1])
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("it is no command that was kept")
        return cls(kind, place, name, float(due_at), awaited_id, *map(opened_brief, more[:1]))

"""What the doctor found, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How bad a line of the report is."""

    OK = "ok"
    #: worth knowing; nothing stands because of it
    NOTE = "note"
    #: something stands, or will be lost, until somebody does something
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at: of the server, the workers or the queues."""

    level: Level
    what: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that is broken, or left over.

    *code* is one of the `X` codes of `why`, `X11` of a schedule in no due set, `X12` to `X14` of
    what limits keep, `X15` of a group that does not stand as it should, `expires` of a live run
    whose keys have a time to live, or `leftover`. *where* is a run, a hook, a schedule, a group, or
    an index and the member that it holds of nothing. *is_mended* is None where nobody asked for
    that.
    """

    code: str
    where: str
    sentence: str
    is_mended: bool | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All that one examination found."""

    lines: Sequence[Line] = ()
    findings: Sequence[Finding] = ()
    #: live runs, hooks in progress and members of indexes that were looked at
    runs: int = 0
    hooks: int = 0
    members: int = 0
    #: seconds
    took_s: float = field(default=0.0, compare=False)

    @property
    def is_well(self) -> bool:
        """Whether nothing is broken any more, and nothing bad was found of server and workers."""
        return all(line.level is not Level.BAD for line in self.lines) and all(
            finding.is_mended or finding.code == LEFTOVER for finding in self.findings
        )


#: the code of what is only in the way, and of live runs whose keys would be gone some day
LEFTOVER, EXPIRES = "leftover", "expires"
#: that of a schedule that nobody would come to
LOST_SCHEDULE = "X11"
#: that of a group that counts wrong, or that nobody would come to
BROKEN_GROUP = "X15"

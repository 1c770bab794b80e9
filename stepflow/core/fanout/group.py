"""
A group: many runs under one name, counted together, settled by one join.

    state        what is being done                                        it leads to
    ----------   -------------------------------------------------------   -------------------
    writing      the client writes down what belongs to it                 submitting
    submitting   its members are begun, a slice at a time                  running, stopping
    running      nothing: the ends of its members move it on               stopping, an end
    retrying     its failed members are taken up again                     running
    stopping     its join is settled: the rest is cancelled                succeeded, failed
    cancelling   somebody cancels it: so are its members                   cancelled

`succeeded`, `failed` and `cancelled` are its ends. A retry leads out of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from stepflow.core.fanout.join import Goal, Join, Verdict, goal_of
from stepflow.errors import InvalidOption, shown

_GROUP_ID = re.compile(r"[A-Za-z0-9_](?:-?[A-Za-z0-9_])*")
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
#: characters of a group id, and of both with what stands between them
_LONGEST_ID, _LONGEST = 64, 128
#: between group and key in a run id; no group id has it, so no two pairs make the same run id
_BETWEEN = "--"
#: how a group without a join is described
NO_JOIN = "all, each to its end"
#: the name of the runner in what a hook is told of a group; no runner can have it
GROUP_RUNNER = "@group"


class GroupState(StrEnum):
    """The states of a group, as in the table above."""

    WRITING = "writing"
    SUBMITTING = "submitting"
    RUNNING = "running"
    RETRYING = "retrying"
    STOPPING = "stopping"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        """Whether the group has ended."""
        return self in _ENDS


_ENDS = (GroupState.SUCCEEDED, GroupState.FAILED, GroupState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Counts:
    """
    The members of a group in numbers.

    *live* have begun and not ended. *refused* could not begin, for another run had their id; of
    *gone* the record vanished before their end.
    """

    total: int = 0
    live: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    gone: int = 0

    @property
    def bad(self) -> int:
        """Those that have ended without success, or will never begin."""
        return self.failed + self.cancelled + self.refused + self.gone

    @property
    def unbegun(self) -> int:
        """Those that have not begun."""
        return max(0, self.total - self.live - self.succeeded - self.bad)


def check_group_id(group_id: object) -> str:
    """Return *group_id* if it can be the name of a group, else raise InvalidOption."""
    if isinstance(group_id, str) and len(group_id) <= _LONGEST_ID and _GROUP_ID.fullmatch(group_id):
        return group_id
    msg = (
        f"group id {shown(group_id)} is not valid; use 1 to {_LONGEST_ID} letters, digits, '_' "
        "or single '-' between them"
    )
    raise InvalidOption(msg)


def member_run_id(group_id: str, key: object) -> str:
    """Make the run id of the member *key*; raises InvalidOption for what can be no key."""
    if isinstance(key, str) and _KEY.fullmatch(key):
        run_id = f"{group_id}{_BETWEEN}{key}"
        if len(run_id) <= _LONGEST:
            return run_id
    msg = (
        f"key {shown(key)} of group {group_id!r} is not valid; use letters, digits, '_' or '-', "
        f"not starting with '-', at most {_LONGEST - len(group_id) - len(_BETWEEN)} of them"
    )
    raise InvalidOption(msg)


def key_of(group_id: str, run_id: str) -> str:
    """Read a member's key back from its run id."""
    return run_id.removeprefix(f"{group_id}{_BETWEEN}")


def goal_of_group(join: Join | None, total: int) -> Goal:
    """
    Say in numbers what settles a group of *total*.

    Without a *join* each member runs to its end, and all of them have to succeed.
    """
    return Goal(total, total + 1, total, total) if join is None else goal_of(join, total)


def end_state(goal: Goal, counts: Counts, verdict: Verdict | None) -> GroupState:
    """Say how a group ends whose members have all ended, by *verdict* if its join has one."""
    if verdict is None:
        verdict = goal.verdict(counts.succeeded, counts.bad, is_time_up=True)
    return GroupState.SUCCEEDED if verdict is Verdict.MET else GroupState.FAILED

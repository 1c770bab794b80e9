"""What `ctx.map` returns or raises, once it is settled: the same at any later time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stepflow.core.children import ChildEnd, ChildGroup
from stepflow.core.fanout.join import Join, Verdict, goal_of, results
from stepflow.errors import ChildFailed, JoinNotMet, MapNotMet
from stepflow.kits.flow.commands.child import failure_of
from stepflow.store.values.codec import unpack

#: what stands for a child without which its map was settled
_NOT_ENDED = ("cancelled", "NotAnswered", "it had not ended when its map was settled")


def conclude(
    group: ChildGroup, join: Join, ends: Sequence[ChildEnd | None], read: Callable[[Any], Any]
) -> list[Any]:
    """
    Return what the children of a settled map make of its join.

    Only those ends count that came before the map was settled; they have a number. Raises
    JoinNotMet.
    """
    counted = {index: end for index, end in enumerate(ends) if end is not None and end.number}
    won = {index: read(unpack(end.packed)) for index, end in counted.items() if end.is_success}
    failed = {
        index: failure_of(group.child(index), end)
        for index, end in counted.items()
        if not end.is_success
    }
    goal = goal_of(join, group.total)
    if goal.verdict(len(won), len(failed), is_time_up=True) is Verdict.NOT_MET:
        raise _not_met(group, join, won, failed, counted)
    return results(
        join, group.total, won,
        lambda index: failed.get(index) or ChildFailed(group.child(index), *_NOT_ENDED),
    )  # fmt: skip


def _not_met(
    group: ChildGroup,
    join: Join,
    won: Mapping[int, Any],
    failed: Mapping[int, ChildFailed],
    counted: Mapping[int, ChildEnd],
) -> JoinNotMet:
    """Make the error of a map; by its last failure unless it was its time that was up."""
    goal = goal_of(join, group.total)
    is_late = goal.verdict(len(won), len(failed)) is None
    last = max(failed, key=lambda index: counted[index].number, default=None)
    if is_late or last is None:
        return JoinNotMet(str(join), group.total, succeeded=won, failed=failed, timed_out=is_late)
    return MapNotMet(str(join), group.total, succeeded=won, failed=failed, decisive=failed[last])

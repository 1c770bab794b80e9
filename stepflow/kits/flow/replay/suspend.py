"""
Parking: a workflow that only waits gives its worker back, and one whose turn is over makes room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stepflow.core.outcomes import Park, Yield
from stepflow.store.values.codec import pack

if TYPE_CHECKING:
    from stepflow.kits.flow.commands.command import Command
    from stepflow.kits.flow.replay.loop import WorkflowLoop


def yield_slot(loop: WorkflowLoop) -> Yield:
    """Put the workflow on *loop* aside until its run's turn comes again."""
    loop.evict()
    return Yield(needs_cleanup=loop.called_ctx_while_evicted)


def park(
    waits: Sequence[Command],
    loop: WorkflowLoop,
    *,
    due_at: float | None,
    inbox: int,
    knows_stop: bool,
) -> Park:
    """
    Put the workflow on *loop* aside until *due_at*, or until something comes in, where one of
    *waits* listens.
    """
    loop.evict()
    listens = any(command.wakes_on_inbox for command in waits)
    expects: dict[str, list[dict[str, Any]]] = {}
    for command in waits:
        for name, schema in command.expects().items():
            expects.setdefault(name, []).append(schema)
    shown = ", ".join(command.describe() for command in waits[:3])
    return Park(
        due_at,
        inbox if listens else None,
        shown,
        needs_cleanup=loop.called_ctx_while_evicted,
        knows_stop=knows_stop,
        expects=pack(expects) if expects else b"",
    )

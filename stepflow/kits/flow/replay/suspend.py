"""Parking: a workflow that only waits gives its worker back, and one whose turn is over makes room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stepflow.core.outcomes import Park, Yield
from stepflow.store.values.codec import pack

if TYPE_CHECKING:
    from stepflow.kits.flow.commands.command import Wish
    from stepflow.kits.flow.replay.loop import WorkflowLoop


def make_room(loop: WorkflowLoop) -> Yield:
    """Put the workflow on *loop* aside until its run's turn comes again."""
    loop.put_aside()
    return Yield(wants_last_word=loop.has_more_to_say)


def park(waits: Sequence[Wish], loop: WorkflowLoop, *, due_at: float | None, inbox: int, knows_stop: bool) -> Park:
    """Put the workflow on *loop* aside until *due_at*, or until something comes in, where one of *waits* listens."""
    loop.put_aside()
    listens = any(wish.listens for wish in waits)
    expects: dict[str, list[dict[str, Any]]] = {}
    for wish in waits:
        for name, schema in wish.expects().items():
            expects.setdefault(name, []).append(schema)
    shown = ", ".join(wish.shown() for wish in waits[:3])
    return Park(
        due_at,
        inbox if listens else None,
        shown,
        wants_last_word=loop.has_more_to_say,
        knows_stop=knows_stop,
        expects=pack(expects) if expects else b"",
    )

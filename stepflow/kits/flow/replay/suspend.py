"""How a workflow gives its worker back: parked while it waits, or because others wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepflow.core.briefs import sealed_brief
from stepflow.core.open_command import MOST_OPEN, OpenCommand
from stepflow.core.outcomes import Park, Yield
from stepflow.core.run import Run
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.sleep_and_signal import SleepCommand
from stepflow.kits.flow.commands.timer import TimerCommand
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.store.values.codec import pack

#: commands that a parked run is said to wait for
_SHOWN = 3


def yield_slot(loop: WorkflowLoop) -> Yield:
    """Evict the workflow on *loop* until a worker has a slot for its run again."""
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
    Evict the workflow on *loop* until *due_at*, or until what one of *waits* waits for comes in.

    *inbox* is how much had come in when they looked last.
    """
    loop.evict()
    wakes_on_inbox = any(command.wakes_on_inbox for command in waits)
    expects: dict[str, list[dict[str, Any]]] = {}
    for command in waits:
        for name, schema in command.expects().items():
            expects.setdefault(name, []).append(schema)
    return Park(
        due_at,
        inbox if wakes_on_inbox else None,
        ", ".join(command.describe() for command in waits[:_SHOWN]),
        needs_cleanup=loop.called_ctx_while_evicted,
        knows_stop=knows_stop,
        expects=pack(expects, in_clear=True) if expects else b"",
        commands=_pack_commands(waits),
    )


def _pack_commands(waits: Sequence[Command]) -> bytes:
    """Write what a parked run waits for; nothing for a sleep alone, whose end its record has."""
    if len(waits) == 1 and isinstance(waits[0], SleepCommand | TimerCommand):
        return b""
    shown = [
        OpenCommand(
            command.what, command.place, command.name, command.due_at or 0.0, command.awaited_id,
            sealed_brief(command.last_error),
        ).parts()
        for command in waits[:MOST_OPEN]
    ]  # fmt: skip
    return pack(shown, in_clear=True)


def was_here(run: Run, began_with: int) -> bool:
    """
    Say whether an earlier activation has run the workflow's code past the end of its journal.

    It has when it parked or yielded; after a crash or an error the code is really run again.
    *began_with* is the activation with which the present history began.
    """
    if run.crashes or run.failures:
        return False
    return run.step > began_with or run.handoff > 0

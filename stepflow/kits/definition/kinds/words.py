"""`emit` and `reply`: what a run says while it works, in its output."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from stepflow.core.output import TOPIC
from stepflow.kits.definition.kinds.base import At, Flow, KindInput, Text


class EmitInput(KindInput):
    """An item of the output."""

    data: Any
    topic: str = TOPIC


class Emit(Flow):
    """An item in the run's output; its value is the data."""

    name = "emit"
    Input = EmitInput

    async def carry(self, given: EmitInput, at: At) -> Any:
        await at.ctx.emit(given.data, given.topic)
        return given.data


class Button(KindInput):
    """What a person may choose."""

    label: str
    value: Any = None
    """What it stands for; the label without one."""


class ReplyInput(KindInput):
    """A text for a person."""

    text: Text
    buttons: list[Button] = Field(default=[])


class Reply(Flow):
    """A text, and buttons, in the run's output under the topic `reply`."""

    name = "reply"
    Input = ReplyInput

    async def carry(self, given: ReplyInput, at: At) -> Any:
        buttons = [
            {"label": each.label, "value": each.label if each.value is None else each.value}
            for each in given.buttons
        ]
        reply = {"text": given.text, "buttons": buttons}
        await at.ctx.emit(reply, "reply")
        return reply

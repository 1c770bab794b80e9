"""What was said in a conversation, as it is kept beside its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter

_TURN = "turn:"


def turn_name(turn: int) -> str:
    """Name the variable that has the messages of a turn."""
    return f"{_TURN}{turn}"


def read_turns(variables: Mapping[str, Any]) -> list[ModelMessage]:
    """
    Give all that was said in a conversation, in order, whatever the model is given of it.

    *variables* are those of its run: `read_turns(client.vars("chat-42"))`.
    """
    turns = sorted(
        (int(name.removeprefix(_TURN)), held)
        for name, held in variables.items()
        if name.startswith(_TURN) and name.removeprefix(_TURN).isdigit()
    )
    return [
        message for _, held in turns for message in ModelMessagesTypeAdapter.validate_python(held)
    ]

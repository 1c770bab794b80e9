"""How a tool loop ends badly."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.agents.providers.model import Message, Usage
from stepflow.errors import PermanentError


class TooManyRounds(PermanentError):
    """
    The model still wanted tools after `max_rounds` answers.

    *messages* and *usage* say how far it came.
    """

    def __init__(self, max_rounds: int, messages: Sequence[Message], usage: Usage) -> None:
        self.messages, self.usage = tuple(messages), usage
        wanted = ", ".join(call.name for call in self.messages[-1].tool_calls)
        super().__init__(
            f"the model was called {max_rounds} times and still wants tools ({wanted}); "
            "raise max_rounds of ctx.tool_loop, or tell the model to come to an end",
            data={"rounds": max_rounds},
        )


class AnswerCutOff(PermanentError):
    """The model's answer was cut off by max_tokens; *text* is what there is of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(
            "the model's answer was cut off by max_tokens; raise that, or use "
            "Resilient(..., double_max_tokens=...)",
            data={"text": text},
        )

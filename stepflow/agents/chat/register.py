"""`app.chat`: conversations with an agent, each a run of a workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic_ai.agent import AbstractAgent
from pydantic_ai.messages import ModelMessagesTypeAdapter

from stepflow.agents.chat.compact import Compact, KeepLast
from stepflow.agents.chat.turns import turn_name
from stepflow.agents.pydantic_ai.register import checked_durable
from stepflow.core.backoff import RetryPolicy
from stepflow.core.chats import SAY, TOPIC
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.for_libraries import emit_last
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.core.limits.limit import Limit
    from stepflow.kits.app import Stepflow

#: the variable that has what the model is given of what was said
_CONTEXT = "context"
#: bytes that the output has after a turn, at most: all that was said is in the turns' messages
KEPT_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """What a person has said."""

    text: str


def register_chat(
    app: Stepflow,
    name: str,
    agent: AbstractAgent[Any, Any],
    *,
    compact: Compact | None,
    idle: float | timedelta | None,
    deps: Callable[[Context], Any] | None,
    version: int,
    retry: RetryPolicy | None,
    limits: Sequence[Limit],
) -> None:
    """Register conversations with *agent* as workflow *name*; each history of a run is one turn."""
    checked_durable(name, agent)
    idle_s = None if idle is None else seconds(idle, "idle of app.chat")
    fewer: Compact = KeepLast() if compact is None else compact

    async def carry(ctx: Context, turn: int = 0) -> Any:
        said = await ctx.wait_for_signal(SAY, type=Said, timeout=idle_s)
        if said is None:
            return turn
        known = ModelMessagesTypeAdapter.validate_python(await ctx.vars.get(_CONTEXT, []))
        try:
            given = None if deps is None else deps(ctx)
            run = await agent.run(said.text, message_history=known, deps=given)
            new = run.new_messages()
            context = await fewer([*known, *new])
            await asyncio.gather(
                ctx.vars.set(turn_name(turn), _written(new)),
                ctx.vars.set(_CONTEXT, _written(context)),
            )
        except Exception as error:  # noqa: BLE001  what fails is this turn, and not the conversation
            told: dict[str, Any] = {"turn": turn, "error": f"{type(error).__name__}: {error}"}
        else:
            told = {"turn": turn, "text": run.output}
        await _say(ctx, told)
        return await ctx.continue_as_new(turn + 1)

    carry.__name__ = carry.__qualname__ = name
    app.workflow(name, version=version, retry=retry, limits=limits)(carry)


async def _say(ctx: Context, told: Mapping[str, Any]) -> None:
    """Say what came of a turn; what was said before stays in the output while there is room."""
    await emit_last(ctx, dict(told), TOPIC, KEPT_BYTES)


def _written(messages: Sequence[Any]) -> Any:
    return ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")

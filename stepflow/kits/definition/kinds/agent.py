"""`agent`: an agent of the app (`app.agent`), as a child run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.kinds.base import At, Flow, KindInput, registered, unknown
from stepflow.kits.definition.known import Known


class AgentInput(KindInput):
    """A question to an agent."""

    agent: str
    """The name that `app.agent` gave it."""
    prompt: Any
    version: int | None = None


class Agent(Flow):
    """An agent, whose model requests and tool calls are steps of a run; its value is its output."""

    name = "agent"
    Input = AgentInput
    options = frozenset({"compensate", "timeout", "queue"})

    def faults(self, given: Mapping[str, Any], known: Known) -> Iterator[tuple[Way, str]]:
        name, names = given.get("agent"), [*known.runners(), *known.foreign]
        if known.is_app and isinstance(name, str) and "{" not in name and name not in names:
            yield ("agent",), unknown("agent", name, names, registered("with app.agent"))

    async def carry(self, given: AgentInput, at: At) -> Any:
        child = await at.ctx.spawn(
            given.agent, given.prompt, key=at.step.id, queue=at.step.queue,
            timeout=at.step.timeout, version=given.version,
        )  # fmt: skip
        return await child.result()

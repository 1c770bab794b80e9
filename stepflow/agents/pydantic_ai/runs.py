"""
The agent runs of a workflow run, and the keys of their units.

A unit is known by what it is, not by when it was asked for: its agent run, the round of the model
or the tool call, and how often just that was asked for before. So parallel tools replay in any
order, and another version of pydantic-ai, which may arrange its tasks differently, finds what an
older one has left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar

from stepflow.kits.flow.context import Context
from stepflow.kits.flow.current import current
from stepflow.kits.flow.for_libraries import derived_uuid, kept_with, places_apart

#: the part of a key that names the tool call whose code is running in the workflow: a sub-agent's
#: runs belong to it
within: ContextVar[str] = ContextVar("stepflow_agent_call", default="")
#: the key of the agent run that is being carried out
present: ContextVar[str] = ContextVar("stepflow_agent_run", default="")


class AgentRuns:
    """The agent runs that one activation of a workflow has begun, and the units of each."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._keys: dict[str, str] = {}
        self._turn_back: dict[str, Callable[[], None]] = {}
        self._counts: Counter[str] = Counter()

    def make_id(self, agent: str) -> str:
        """Return the id of a new run of *agent*, the same on every replay."""
        key = self._numbered(f"{within.get()}{agent}")
        run_id = str(derived_uuid(self._ctx, f"agent.{key}"))
        self._keys[run_id] = key
        return run_id

    def begin(self, run_id: str) -> None:
        """Note that the present task begins to carry out an agent run, in places of its own."""
        self._turn_back[run_id] = places_apart(self._ctx)

    def end(self, run_id: str | None) -> None:
        """Note that an agent run is over."""
        turn_back = self._turn_back.pop(run_id or "", None)
        if turn_back is not None:
            turn_back()

    def key_of(self, run_id: str | None) -> str:
        """Return the key of an agent run; one whose id the caller chose is known by that."""
        return present.get() if run_id is None else self._keys.get(run_id, run_id)

    def next_key(self, run_id: str | None, unit: str) -> str:
        """Return the key of the next *unit* of an agent run."""
        return self._numbered(f"{self.key_of(run_id)}/{unit}")

    def _numbered(self, name: str) -> str:
        self._counts[name] += 1
        number = self._counts[name]
        return name if number == 1 else f"{name}#{number}"


def runs_of(ctx: Context) -> AgentRuns:
    """Return the agent runs of the activation of *ctx*."""
    return kept_with(ctx, AgentRuns)


def workflow() -> Context | None:
    """Return the `ctx` of the workflow whose coroutines are running; None in steps and outside."""
    ctx = current()
    return ctx if isinstance(ctx, Context) else None

"""
Spans and metrics: those of a replay do not go out again.

pydantic-ai keeps back what covered only replayed units, as far as `replay_scope` is entered before
the first span of a run is opened. The hook that comes before that cannot enter and leave a scope,
so it takes over what the scope sets.
"""

from __future__ import annotations

import weakref
from contextlib import AbstractContextManager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

from stepflow.agents.pydantic_ai.compat import replay_scope
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.for_libraries import is_put_aside

#: the activation whose replays are told of
_told: ContextVar[weakref.ref[Context] | None] = ContextVar("stepflow_agent_replays", default=None)


def tell_replays(ctx: Context) -> None:
    """Have spans and metrics of the present task know what is a replay, from here on."""
    told = _told.get()
    if told is not None and told() is ctx:
        return
    _told.set(weakref.ref(ctx))
    _take_over(replay_scope(is_replaying=partial(is_put_aside, ctx)))


def _take_over(scope: AbstractContextManager[Any]) -> None:
    """Set here what *scope* sets where it is entered."""
    inside = copy_context()
    before = dict(inside.items())
    inside.run(scope.__enter__)
    found = {var: value for var, value in inside.items() if before.get(var) is not value}
    inside.run(scope.__exit__, None, None, None)
    for var, value in found.items():
        var.set(value)

"""What the functions of a machine are given, and what those of a stepped state return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.core.fanout.join import Failed


@dataclass(frozen=True, slots=True)
class StateContext:
    """
    The visit of a state whose function runs.

    *state* is the label of the state, *visit* counts how often it was entered, from 1. *branches*
    has what the split before this state gave, by the label of that: a value or a Failed for each
    branch. What else a step can know of itself, `stepflow.current_step()` tells.
    """

    run_id: str
    state: str
    visit: int
    headers: Mapping[str, str] = field(default_factory=dict)
    branches: Mapping[str, Sequence[Any | Failed]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class More:
    """
    Return it from the function of a stepped state: call me again, with this *cursor*.

    The cursor is recorded, so a crash goes on with it. It is any value that can be stored.
    """

    cursor: Any

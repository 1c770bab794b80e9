"""What all calls of `ctx` share: the activation that they speak to, and what they know of types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from stepflow.core.ids import check_text
from stepflow.core.runner import WorkflowContext
from stepflow.core.schedules.scheduled import scheduled_for
from stepflow.errors import InvalidOption, shown
from stepflow.kits.flow.replay.activation import Activation
from stepflow.kits.flow.step_options import Readers

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry


class ContextBase(WorkflowContext):
    """
    One activation as its `ctx` sees it.

    *registry* is what the workflow's app has registered, *payload* what its function was given.
    """

    def __init__(
        self,
        activation: Activation,
        *,
        headers: Mapping[str, str],
        readers: Readers,
        registry: Registry | None = None,
        payload: Any = None,
    ) -> None:
        self._activation = activation
        activation.loop.ctx = self
        self._policy = activation.runtime.policy
        self._readers = readers
        self._registry = registry
        self._payload = payload
        self.run_id = activation.run.id
        self.headers = headers

    @property
    def scheduled_for(self) -> datetime | None:
        """The time that the run is for, in UTC; None for a run of no schedule."""
        return scheduled_for(self.headers)


def checked_name(name: str) -> str:
    """Return *name* if it can be that of a step; raises InvalidOption."""
    if type(name) is str and name in _checked:
        return name
    try:
        checked = check_text("the name", name, without="|")
    except InvalidOption:
        msg = (
            f"{shown(name)} cannot name a step: use 1 to 200 characters without '|', valid Unicode"
        )
        raise InvalidOption(msg) from None
    if len(_checked) >= _MOST_NAMES:
        _checked.clear()
    _checked.add(checked)
    return checked


#: names that were found to be good: the same few are used again and again
_checked: set[str] = set()
_MOST_NAMES = 10_000

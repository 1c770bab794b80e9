"""`@app.step`: what a function says once about how it runs as a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.errors import InvalidOption

#: where a function carries its declaration; `functools.wraps` takes it along
_MARK = "__stepflow_step__"


@dataclass(frozen=True, slots=True)
class StepOptions:
    """The options a step has where `ctx.step` gives none; *timeout_s* is for one attempt."""

    name: str | None = None
    retry: RetryPolicy | None = None
    timeout_s: float | None = None
    compensate: Callable[..., Any] | None = None
    queue: str | None = None
    #: the runner it is registered as, for steps on another queue
    runner: str = ""


#: what a function that was not declared says
NO_STEP_OPTIONS = StepOptions()


def declare(function: Callable[..., Any], options: StepOptions) -> None:
    """Have *function* carry *options*; it stays the function it is."""
    if options.timeout_s is not None and options.timeout_s <= 0:
        msg = f"timeout of step {function!r} is {options.timeout_s}; it must be above 0 seconds, or None"
        raise InvalidOption(msg)
    try:
        setattr(function, _MARK, options)
    except AttributeError:
        msg = f"@app.step cannot mark {function!r}; put it above a def of your own that calls it"
        raise InvalidOption(msg) from None


def options_of(function: Callable[..., Any]) -> StepOptions:
    """Give what *function* was declared with."""
    found = getattr(function, _MARK, NO_STEP_OPTIONS)
    return found if isinstance(found, StepOptions) else NO_STEP_OPTIONS


def step_name(function: Callable[..., Any]) -> str:
    """Name a step that was given no name: as it was declared, else as the function is called."""
    own: str = getattr(function, "__name__", type(function).__name__)
    return options_of(function).name or own

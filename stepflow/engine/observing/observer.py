"""The methods that an observer may have."""

from __future__ import annotations

from collections.abc import Awaitable
from difflib import get_close_matches
from typing import Protocol

from stepflow.engine.observing.facts import ObservedCall, ObservedRun, ObservedStep
from stepflow.errors import InvalidOption, shown

#: what a method may return: an `async def` is awaited
Told = Awaitable[None] | None


class Observer(Protocol):
    """
    What `app.observe` takes: an object with any of these methods, each `def` or `async def`.

    Derive from it to have your type checker compare your methods with these; none has to be there.
    """

    def on_run_submitted(self, run: ObservedRun, /) -> Told:
        """Learn that a client of the app, or one of its runs, has submitted a run."""
        return None

    def on_step_started(self, step: ObservedStep, /) -> Told:
        """Learn that an attempt of a step begins."""
        return None

    def on_step_done(self, step: ObservedStep, /) -> Told:
        """Learn that a step has its value, which is in Redis."""
        return None

    def on_step_failed(self, step: ObservedStep, /) -> Told:
        """Learn that a step has failed for good."""
        return None

    def on_retry(self, step: ObservedStep, /) -> Told:
        """Learn that an attempt of a step has failed and another one comes at `next_at`."""
        return None

    def on_replayed_step(self, step: ObservedStep, /) -> Told:
        """Learn that a replay was given the remembered answer of a step."""
        return None

    def on_waiting(self, run: ObservedRun, /) -> Told:
        """Learn that a run waits, and occupies no worker meanwhile."""
        return None

    def on_checkpoint(self, run: ObservedRun, /) -> Told:
        """Learn that a run goes on from `step`, where a crash from now on would lead back to."""
        return None

    def on_resumed(self, run: ObservedRun, /) -> Told:
        """Learn that this worker has taken up a run that had begun before."""
        return None

    def on_cancelled(self, run: ObservedRun, /) -> Told:
        """Learn that a run has ended as cancelled; `on_ended` is called next."""
        return None

    def on_ended(self, run: ObservedRun, /) -> Told:
        """Learn that a run has ended."""
        return None

    def on_circuit_open(self, call: ObservedCall, /) -> Told:
        """Learn that a circuit breaker has opened."""
        return None

    def on_llm_call(self, call: ObservedCall, /) -> Told:
        """Learn that a step has called a language model."""
        return None

    def on_tool_call(self, call: ObservedCall, /) -> Told:
        """Learn that an agent has called a tool."""
        return None


#: the names of the methods, in the order above
METHODS = tuple(name for name in vars(Observer) if name.startswith("on_"))


def methods_of(observer: object) -> list[str]:
    """
    Name the methods that *observer* has of its own.

    Raises InvalidOption when it has none, has one that nobody calls, or is a class.
    """
    if isinstance(observer, type):
        msg = f"app.observe takes an object, not a class; write app.observe({observer.__name__}())"
        raise InvalidOption(msg)
    cls = type(observer)
    names = [name for name in dir(observer) if name.startswith("on_")]
    for name in names:
        if name not in METHODS and callable(getattr(observer, name)):
            near = get_close_matches(name, METHODS, 1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(METHODS)}"
            msg = f"observer {shown(observer)} has a method {name}, which nothing calls{meant}"
            raise InvalidOption(msg)
    own = [
        name
        for name in names
        if callable(getattr(observer, name))
        and getattr(cls, name, None) is not getattr(Observer, name)
    ]
    if not own:
        msg = f"{shown(observer)} has none of the methods of an observer: {', '.join(METHODS)}"
        raise InvalidOption(msg)
    return own

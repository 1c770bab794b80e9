"""What an app listens to in its workers: events, each with the functions that are told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from stepflow.core.events import Event, EventType
from stepflow.errors import InvalidOption, shown

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry

F = TypeVar("F", bound=Callable[[Event], Any])


class Listening:
    """The decorator of an app for functions that are told of events."""

    registry: Registry

    def on(self, *types: EventType | str) -> Callable[[F], F]:
        """
        Call the function below for events that this worker causes: `@app.on("step.done")`.

        It is called with an Event on the worker's loop, after the event is in Redis; an `async def`
        becomes a task. Nothing waits for it, and it is called at most once: not when the worker
        dies, and not for what clients cause (a submit, the cancel of a waiting run). Use
        `on_terminal` for what must happen at each end. A function that has raised ten times is
        removed. `client.events` reads everything that happened to one run. Raises InvalidOption for
        an unknown type.
        """
        known = [_known(each) for each in types]
        if not known:
            raise InvalidOption("app.on needs the type of an event, such as 'step.done'")

        def listen(function: F) -> F:
            for kind in known:
                self.registry.listeners.setdefault(kind, []).append(function)
            return function

        return listen


def _known(kind: object) -> EventType:
    try:
        return EventType(kind)  # type: ignore[arg-type]
    except ValueError:
        names = ", ".join(EventType)
        msg = f"{shown(kind)} is not a type of event; the types are {names}"
        raise InvalidOption(msg) from None

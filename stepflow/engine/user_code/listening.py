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
        Tell the function below of events that this worker causes: `@app.on("step.done")`.

        It is called with an Event on the worker's loop, after what happened is in Redis; an `async
        def` becomes a task. Nobody waits for it, and it is told at most once: a worker that dies
        tells nothing, and what clients cause (a submit, a cancel of a run that waits) is not told.
        What must happen for each end is a terminal hook. One that has raised ten times is dropped.
        `client.events` reads all that has happened to one run. Raises InvalidOption for a type that
        there is not.
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

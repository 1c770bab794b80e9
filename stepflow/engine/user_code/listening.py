"""What an app has told to: functions that listen to events, and observers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from stepflow.core.events import Event, EventType
from stepflow.errors import InvalidOption, shown

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry

F = TypeVar("F", bound=Callable[[Event], Any])
T = TypeVar("T")


class Listening:
    """What an app has for functions and objects that are told of what happens."""

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

    def observe(self, observer: T) -> T:
        """
        Tell *observer* what the runs of this app do: an object with any of Observer's methods.

        It is told after the fact, by the workers of this app, and by its clients of what they
        submit; at most once, in order, on a thread of its own, where an `async def` is awaited on
        the worker's loop. Nothing waits for it, and what it raises is logged; one that has raised
        ten times is told nothing more. Gives *observer*. Raises InvalidOption for an object that is
        no observer.
        """
        from stepflow.engine.observing.observers import Observers  # noqa: PLC0415  few have any

        if self.registry.observers is None:
            self.registry.observers = Observers()
        self.registry.observers.add(observer)
        return observer


def _known(kind: object) -> EventType:
    try:
        return EventType(kind)  # type: ignore[arg-type]
    except ValueError:
        names = ", ".join(EventType)
        msg = f"{shown(kind)} is not a type of event; the types are {names}"
        raise InvalidOption(msg) from None

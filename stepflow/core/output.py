"""
Output streams: what a run says while it works, as its readers see it, and where `emit` leads.

A *scope* is what an attempt works on: a step of a runner by its number, a `ctx.step` by its place.
What an attempt says counts for good once its scope is committed. Until then a later attempt may
void it, which an OutputReset says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from stepflow.core.ids import check_text, check_texts
from stepflow.errors import InvalidOption, NotInStep, shown
from stepflow.logs import code

#: the topic of what is emitted without one
TOPIC = "out"


@dataclass(frozen=True, slots=True)
class OutputItem:
    """
    One item that a run emitted: its *data*, under its *topic*.

    Pass *id* as `after` to continue after it. *scope* is the step that emitted it, None for
    `ctx.emit`, whose items are never reset; *attempt* counts from 1.
    """

    kind: ClassVar[str] = "output"
    id: str
    data: Any
    topic: str = TOPIC
    scope: str | None = None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class OutputReset:
    """
    Drop all items of *scope* that you have: its step failed, or its worker died.

    *attempt* is the attempt that starts now, None when the step was given up.
    """

    kind: ClassVar[str] = "reset"
    id: str
    scope: str
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class OutputGap:
    """
    Items after *after* were removed before you read them: a stream is bounded.

    *id* is the last one that was removed, None when all were.
    """

    kind: ClassVar[str] = "gap"
    id: str | None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class OutputEnd:
    """The run has ended, in *state*; nothing comes after *id*."""

    kind: ClassVar[str] = "end"
    id: str | None
    state: str


OutputEvent = OutputItem | OutputReset | OutputGap | OutputEnd


class OutputView:
    """
    The current output of a run: all items that were not reset.

    Call `view.apply(event)` for each event in order; `view.text()` returns the output so far.
    """

    def __init__(self) -> None:
        self.items: list[OutputItem] = []
        #: the state the run has ended in; None while it goes on
        self.state: str | None = None

    def apply(self, event: OutputEvent) -> None:
        """Apply the next event."""
        match event:
            case OutputItem():
                self.items.append(event)
                self.state = None
            case OutputReset():
                self.items = [item for item in self.items if item.scope != event.scope]
            case OutputGap():
                pass
            case OutputEnd():
                self.state = event.state

    def text(self, topic: str = TOPIC) -> str:
        """Join the items of *topic*, for data that is text."""
        return "".join(str(item.data) for item in self.items if item.topic == topic)


def emit(data: Any, topic: str = TOPIC) -> Awaitable[None]:
    """
    Publish *data* in the run's output: `stepflow.emit(token)`.

    Call it anywhere inside a step, runner or job, also in their threads. It returns immediately.
    Await its result to wait until the item is written, which slows down a step that is faster than
    Redis. In a thread it blocks while a thousand items wait. The data may be anything that a
    payload may be, up to 64 KiB.

    Raises NotInStep outside of a step, PayloadTooLarge, UnsupportedValue, StepOver from a step
    that has ended, ClaimLost.
    """
    present = code.get()
    if present is None:
        raise NotInStep
    return present.emit(data, topic)


def check_topic(topic: object) -> str:
    """Return *topic* if it can be one, else raise InvalidOption."""
    return check_text("the topic", topic, most=100, without="|")


def check_topics(topics: str | Sequence[str] | None) -> frozenset[str] | None:
    """Return the topics a reader wants, None for all of them."""
    if topics is None:
        return None
    names = [topics] if isinstance(topics, str) else check_texts("topics", topics)
    return frozenset(check_topic(name) for name in names)


def check_position(after: object) -> str | None:
    """
    Return where a read begins: None for the beginning, `latest`, or the id of an event.

    Raises InvalidOption for anything else.
    """
    if after is None:
        return None
    if isinstance(after, str) and after in {"", "latest"}:
        return after or None
    first, dash, second = after.partition("-") if isinstance(after, str) else ("", "", "")
    if dash and all(part.isdecimal() and len(part) <= _DIGITS for part in (first, second)):
        return f"{int(first)}-{int(second)}"
    msg = f"{shown(after)} is not a place in an output stream; use the id of an event, or 'latest'"
    raise InvalidOption(msg)


#: digits of each part of an id
_DIGITS = 15

"""
A wish: something a workflow asked for at a place and awaits.

What kinds there are: `steps.py`, `waits.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from stepflow.core.journal import Entry, EntryKind
from stepflow.engine.user_code.calls import EscapedError
from stepflow.store.values.codec import unpack

if TYPE_CHECKING:
    from stepflow.kits.flow.replay.activation import Activation
    from stepflow.kits.flow.replay.compensations import Compensation


class Command:
    """
    What was asked for, and how far it is.

    *place* is where in the workflow, *name* what it is called there; *future* belongs to the
    workflow's loop. *read* turns a remembered value into the type that is wanted. *due_at* is unix
    seconds: when it is to be looked at again.
    """

    __slots__ = (
        "compensation",
        "due_at",
        "future",
        "is_busy",
        "is_writing",
        "name",
        "place",
        "read",
    )

    #: what it is called in words
    what: ClassVar[str]
    #: the kinds of entries that may stand at its place
    entry_kinds: ClassVar[tuple[EntryKind, ...]]
    #: whether something put into the run's inbox may answer it
    wakes_on_inbox: ClassVar[bool] = False

    def __init__(
        self,
        place: str,
        name: str,
        future: asyncio.Future[Any],
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        self.place = place
        self.name = name
        self.future = future
        self.read = read
        self.due_at: float | None = None
        #: what undoes it once it has its value
        self.compensation: Compensation | None = None
        #: a try is running, or an entry is being written for it
        self.is_busy = False
        #: an entry is being written for it
        self.is_writing = False

    @property
    def is_wanted(self) -> bool:
        """Whether the workflow still wants it."""
        return not self.future.cancelled()

    def is_answered_by(self, entry: Entry) -> bool:
        """Take in a remembered fact at this place; False when it is not the answer yet."""
        if entry.kind in (EntryKind.DUE, EntryKind.TRY):
            self.due_at = float(entry.data)
            return False
        return True

    def value_in(self, entry: Entry) -> bytes | None:
        """
        Give the value, packed, that an answer brings and that a compensation would be called with.
        """
        return entry.data if entry.kind is EntryKind.VALUE else None

    def answer(self, entry: Entry) -> None:
        """Answer with a remembered fact; None, where the kind has nothing to say."""
        del entry
        self.future.set_result(None)

    def answer_with(self, packed: bytes) -> None:
        """Answer with a packed value, as the type that is wanted."""
        value = unpack(
            packed
        )  # what cannot be read at all is nothing the workflow could answer for
        try:
            value = value if self.read is None else self.read(value)
        except (StopIteration, GeneratorExit) as error:  # awaited, they would end who awaits
            self.future.set_exception(EscapedError(error))
        except BaseException as error:  # noqa: BLE001  what reads it may be a validator, which is user code
            self.future.set_exception(error)
        else:
            self.future.set_result(value)

    def describe(self) -> str:
        """Say in a few words what a run waits for that waits for it."""
        return f"{self.what} {self.name}"

    def expects(self) -> dict[str, dict[str, Any]]:
        """Give the JSON schemas that what is sent to it must fit, by the signal's name."""
        return {}

    def advance(self, activation: Activation, now: float) -> None:
        """Do what can be done for it now; called again whenever something has changed."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Leave off: the workflow wants it no more, or the activation is over."""

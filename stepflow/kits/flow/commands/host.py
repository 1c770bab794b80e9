"""
What a command may ask of the activation that runs it.

This is the seam between the commands and the replay: a command that has a host like this needs no
activation, so it can be tested without one.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from stepflow.core.journal import EntryKind
from stepflow.core.run import Run
from stepflow.kits.flow.runtime import FlowRuntime, Settling
from stepflow.kits.flow.step_options import Compensation

T = TypeVar("T")

#: sends an entry whose data the server makes, given its index and its head
Send = Callable[[int, bytes], asyncio.Future[Any]]


class Writable(Protocol):
    """What a host reads of a command for which it writes an entry, and the marks it leaves."""

    place: str
    name: str
    compensation: Compensation | None
    began_at: float | None
    is_busy: bool
    is_writing: bool


class CommandHost(Protocol):
    """The activation, as a command sees it."""

    run: Run
    runtime: FlowRuntime
    #: how often the run has continued as new
    restarts: int
    #: whether the journal is used up, and the workflow goes on
    is_live: bool

    @property
    def inbox_version(self) -> int:
        """Grows whenever something may have come into the run's inbox."""

    @property
    def is_slice_over(self) -> bool:
        """Whether the run's time slice has passed: a long command asks then whether to pause."""

    async def is_to_leave(self) -> bool:
        """Whether others wait for the run's slot, or its worker is leaving; asks the server."""

    @property
    def outer_loop(self) -> asyncio.AbstractEventLoop:
        """The worker's loop, on which steps run."""

    def spawn(
        self,
        work: Coroutine[Any, Any, T],
        then: Callable[[asyncio.Task[T]], None] | None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """
        Do *work* on the worker's loop, then call *then*, whose error ends the activation.

        Without *then* the work sees to its own end. It runs in *context*, or in a copy of the
        present one.
        """

    def was_begun_before(self, command: Writable) -> bool:
        """
        Whether an earlier activation may have begun with *command*.

        It has, should there have been one, with all that was open when the journal ended.
        """

    def write(
        self,
        command: Writable,
        kind: EntryKind,
        data: bytes = b"",
        settling: Settling | None = None,
    ) -> None:
        """
        Write an entry for *command*, which is busy until that is durable and handed over to it.

        Nothing is written for a command that is answered or abandoned by now.
        """

    def leave_memo(self, command: Writable, data: bytes) -> None:
        """Write what an attempt of *command*, which goes on meanwhile, leaves to the next."""

    def write_computed(self, command: Writable, kind: EntryKind, send: Send) -> None:
        """Write an entry whose data is what the server answers to *send*."""

    def take_from_inbox(self, command: Writable, kind: EntryKind, send: Send) -> bool:
        """
        Have *send* look for what came in; what it finds becomes an entry like any other.

        False when it cannot look now: another command is looking.
        """

    def read_end(self, name: str, then: Callable[[bytes | None], None]) -> None:
        """
        Read how a child (by run id) or a map (by its id) ended, and call *then* with that.

        With None while it has not ended.
        """

    def withdraw(self, digest: str) -> None:
        """Take a question off the list: the workflow wants its answer no more."""

    def note_inbox(self, inbox: int) -> None:
        """Learn how much was ever put into the run's inbox; more wakes all who wait for it."""

    def wake(self) -> None:
        """Have every open command advanced once more."""

    def lose_claim(self) -> None:
        """End the activation: the run is another worker's now."""

    def fail(self, error: Exception) -> None:
        """End the activation with *error*."""

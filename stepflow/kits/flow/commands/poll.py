"""A poll: a function is called until it has something to give, one entry for each try."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.journal import Entry, EntryKind, counts_as_attempt, read_try, write_try
from stepflow.kits.flow.around.code import AttemptCode
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.kits.flow.runtime import OutputScope
from stepflow.times import seconds

#: how long a poll waits between two tries, or a function that says so of the try's number, from 1
Every = float | timedelta | Callable[[int], float | timedelta]


@dataclass(frozen=True, slots=True)
class Pending:
    """
    Return it from the function of a `ctx.poll`: nothing is there yet.

    The next try is after *delay* (seconds or timedelta), or after `every` when that is None.
    """

    delay: float | timedelta | None = None

    def __post_init__(self) -> None:
        if self.delay is not None:
            seconds(self.delay, "delay of Pending")


def wait_after(every: Every, number: int) -> float:
    """Say how many seconds to wait after try *number*; raises InvalidOption."""
    given = every(number) if callable(every) else every
    return seconds(given, "every of ctx.poll")


class PollCommand(StepCommand):
    """
    What the function gives that is not None and not Pending.

    A try that gave nothing is remembered as a failed one is, without an error. In the journal of a
    version before, each try was a step of its own: then this one ends with None, or with an error
    that is not the last, and whoever awaits it goes on as that version did.
    """

    __slots__ = ("_every", "_max_errors", "errors")

    def __init__(
        self,
        place: str,
        name: str,
        future: asyncio.Future[Any],
        function: Callable[..., Any],
        *args: Any,
        **options: Any,
    ) -> None:
        super().__init__(place, name, future, function, *args, **options)
        self._every: Every = 0.0
        self._max_errors = 1
        #: tries that failed since one last answered
        self.errors = 0

    def expect(self, every: Every, max_errors: int) -> None:
        """Set how long it waits between tries, and how many failures in a row end it."""
        self._every, self._max_errors = every, max_errors

    def is_resolved_by(self, entry: Entry) -> bool:
        is_resolved = super().is_resolved_by(entry)
        if entry.kind is EntryKind.TRY:
            brief = read_try(entry.data)[1]
            self.errors = self.errors + counts_as_attempt(brief) if brief else 0
        return is_resolved

    def _begin_code(self, host: CommandHost) -> AttemptCode:
        """Begin a try: what those before it have emitted counts, though they found nothing."""
        code = self._code = AttemptCode(self, host, self._failures)
        if host.run.has_output and host.was_begun_before(self):
            code.reset(1)
        return code

    def open_scope(self, host: CommandHost, failures: int) -> OutputScope:
        return host.runtime.output_scope(self._scope_in(host, failures), 1, self.name)

    def _scope_in(self, host: CommandHost, failures: int) -> str:
        """Give each try a scope of its own: what those before it have emitted counts."""
        return f"{super()._scope_in(host, failures)}#{failures}"

    def _tried(self, host: CommandHost, given: Any, error: BaseException | None) -> None:
        is_nothing = error is None and (given is None or isinstance(given, Pending))
        if self.is_abandoned or not self.is_wanted or not is_nothing:
            super()._tried(host, given, error)
            return
        self._task = None
        try:
            delay = given.delay if isinstance(given, Pending) else None
            wait_s = self._wait_s() if delay is None else seconds(delay)
        except BaseException as problem:  # noqa: BLE001  `every` is user code as well
            self._write_failure(host, problem)
            return
        host.write(self, EntryKind.TRY, write_try(host.runtime.now() + wait_s, ""))

    def _wait_s(self) -> float:
        return wait_after(self._every, self._failures + 1)

    def _write_failure(self, host: CommandHost, error: BaseException) -> None:
        left = self._max_errors - self.errors
        try:
            wait_s = self._wait_s() if left > 1 else 0.0
        except BaseException as problem:  # noqa: BLE001  as above
            error, left, wait_s = problem, 1, 0.0
        self._policy = RetryPolicy(
            max_attempts=self._failures + max(1, left), initial=wait_s, factor=1, jitter=False,
            max_delay=wait_s,
        )  # fmt: skip
        super()._write_failure(host, error)

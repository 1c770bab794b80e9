"""Steps: a function is called until it returns, or fails for good; either is remembered."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from stepflow.core.backoff import ONCE, RetryPolicy
from stepflow.core.journal import (
    Entry,
    EntryKind,
    counts_as_attempt,
    read_try,
    was_refused,
    write_try,
)
from stepflow.engine.user_code.arguments import ResultReader
from stepflow.engine.user_code.calls import escaped, postponed, raised
from stepflow.errors import (
    BudgetExceeded,
    CircuitOpen,
    ClaimLost,
    PayloadTooLarge,
    Postponed,
)
from stepflow.kits.flow.around.attempt import Attempt
from stepflow.kits.flow.around.code import AttemptCode
from stepflow.kits.flow.around.failed import pack_error, read_error, with_usage
from stepflow.kits.flow.around.refused import pack_refused, rest_beside, rest_for
from stepflow.kits.flow.around.spends import Spends
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.current_step import CurrentStep
from stepflow.kits.flow.runtime import FlowRuntime, OutputScope
from stepflow.logs import enter
from stepflow.store.values.codec import pack, unpack

log = logging.getLogger("stepflow.flow")

#: what stands around the call of a step's function, such as a circuit breaker: it is given the
#: runtime and the call, and may raise Postponed instead of making it
Around = Callable[[FlowRuntime, Callable[[], Awaitable[Any]]], Awaitable[Any]]


#: what the error of a function says that has cancelled its own task
ITSELF = "the step cancelled itself"


class StepCommand(Command):
    """The value of `function(*args, **kwargs)`; *timeout_s* is for one attempt."""

    __slots__ = (
        "_around",
        "_attempt",
        "_code",
        "_context",
        "_error",
        "_failures",
        "_memo",
        "_policy",
        "_postponed",
        "_scope_name",
        "_seen",
        "_task",
        "_timeout_s",
        "args",
        "function",
        "is_abandoned",
        "key",
        "kwargs",
        "spends",
        "was_refused",
    )
    what = "step"
    entry_kinds = (EntryKind.VALUE, EntryKind.ERROR, EntryKind.TRY, EntryKind.MEMO)

    def __init__(
        self,
        place: str,
        name: str,
        future: asyncio.Future[Any],
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        policy: RetryPolicy = ONCE,
        timeout_s: float | None = None,
        read: Callable[[Any], Any] | None = None,
        scope: str = "",
        around: Around | None = None,
        context: contextvars.Context | None = None,
    ) -> None:
        Command.__init__(self, place, name, future, read)  # super() costs each step
        self._around = around
        #: why its function may not be called yet, and the inbox version at which it was told so
        self._postponed: Postponed | None = None
        self._seen = 0
        #: the context variables of the code that asked for it, which its function sees
        self._context = contextvars.copy_context() if context is None else context
        #: what its calls spend of budgets; None for most
        self.spends: Spends | None = None
        #: the key that it was given
        self.key: str | None = None
        #: what its attempts have left to those after them; None for most
        self._memo: dict[str, Any] | None = None
        self._attempt: Attempt | None = None
        self._scope_name = scope or place
        #: what its present attempt is of
        self._code: AttemptCode | None = None
        self.function = function
        self.args = args
        self.kwargs: Mapping[str, Any] = kwargs or {}
        self._policy = policy
        self._timeout_s = timeout_s
        self._failures = 0
        #: whether somebody else's limit has refused an attempt: it goes before others in line
        self.was_refused = False
        #: what its last attempt raised; None on replay
        self._error: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None
        #: nobody wants its value any more: what its function does from here on, cancelled or not,
        #: does not count
        self.is_abandoned = False

    def is_resolved_by(self, entry: Entry) -> bool:
        if entry.kind is EntryKind.VALUE:  # most are
            return True
        if entry.kind is EntryKind.TRY:
            brief = read_try(entry.data)[1]
            self._failures += counts_as_attempt(brief)
            self.was_refused = self.was_refused or was_refused(brief)
        elif entry.kind is EntryKind.MEMO:
            name, value = unpack(entry.data)
            self.memo[name] = value
            if self._attempt is not None:
                self._attempt.note_written()
            return False
        return super().is_resolved_by(entry)

    @property
    def memo(self) -> dict[str, Any]:
        """What its attempts have left to those after them."""
        if self._memo is None:
            self._memo = {}
        return self._memo

    def current_step(self, host: CommandHost, failures: int) -> CurrentStep:
        """Return what the function of the attempt after so many *failures* may know of itself."""
        if failures != self._failures or not self.is_busy:  # a thread that was left behind asks
            return Attempt(self, host, failures + 1, is_over=True).made
        if self._attempt is None:
            self._attempt = Attempt(self, host, failures + 1)
        return self._attempt.made

    @property
    def is_last_attempt(self) -> bool:
        """Whether an error that may be tried again fails it now."""
        return self.attempt >= self._policy.max_attempts

    @property
    def attempt(self) -> int:
        return self._failures + 1

    @property
    def task(self) -> asyncio.Task[Any] | None:
        return self._task

    @property
    def wakes_on_inbox(self) -> bool:  # type: ignore[override]  # of most steps it never does
        """Whether it waits for what wakes it through the inbox."""
        return self._postponed is not None

    def describe(self) -> str:
        if self._postponed is None:
            return super().describe()
        return self._postponed.waits_for

    @property
    def awaited_id(self) -> str:
        """What it waits for before it may be tried; empty while it waits for its time alone."""
        return "" if self._postponed is None else self._postponed.waits_for

    def resolve(self, entry: Entry) -> None:
        if entry.kind is EntryKind.VALUE:
            self.resolve_with(entry.data)
        else:
            own, self._error = self._error, None
            self.future.set_exception(read_error(self.name, entry.data, own))

    def advance(self, host: CommandHost, now: float) -> None:
        if self.due_at is None or self.due_at <= now or self._is_told(host):
            self.is_busy, self.began_at = True, now
            self._postponed, self._seen = None, host.inbox_version
            observers = host.runtime.observers
            if observers is not None and self._around is None:
                observers.step_began(host.run, self, now)
            self._attempt = None
            work = self._call(host, self._begin_code(host))
            # a copy: what its function changes there is not for the next attempt to see
            self._task = host.spawn(work, partial(self._tried, host), self._context.copy())

    def _is_told(self, host: CommandHost) -> bool:
        """Whether something came in that may be what it waits for."""
        wait = self._postponed
        if wait is None:
            return False
        return self._seen != host.inbox_version if wait.is_told is None else wait.is_told()

    def _begin_code(self, host: CommandHost) -> AttemptCode:
        """Begin the code of an attempt; what earlier attempts have emitted is void."""
        failures = self._failures
        code = self._code = AttemptCode(self, host, failures)
        if host.run.has_output and (failures or host.was_begun_before(self)):
            code.reset(failures + 1)
        return code

    def open_scope(self, host: CommandHost, failures: int) -> OutputScope:
        """Make where the emits of the attempt after so many *failures* lead."""
        return host.runtime.output_scope(self._scope_in(host), failures + 1, self.name)

    def abandon(self) -> None:
        self.is_abandoned = True
        if self._task is not None:
            self._task.cancel()

    def give_up(self) -> None:
        if self._postponed is not None and self._postponed.give_up is not None:
            self._postponed.give_up()
        self.abandon()

    def void_output(self, host: CommandHost, *, was_begun: bool = False) -> None:
        code, self._code = self._code, None
        if code is None and (self._failures or was_begun) and host.run.has_output:
            # of an attempt in an earlier activation
            scope = host.runtime.output_scope(self._scope_in(host), self._failures, self.name)
            scope.reset(None)
        elif code is not None and code.has_emitted and not self.is_writing:
            code.close()
            code.reset(None)

    @property
    def occurrence(self) -> str:
        """What names it in one history: its place, with how often its key was forgotten."""
        return self._scope_name

    def _scope_in(self, host: CommandHost) -> str:
        """Name its scope: a place means another step in each history."""
        return f"{host.restarts}/{self._scope_name}" if host.restarts else self._scope_name

    async def _call(self, host: CommandHost, code: AttemptCode) -> Any:
        """Call the function; all that it emits is written before its value is."""
        enter(code)
        runtime = host.runtime
        try:
            if self._around is not None:
                value = await self._around(runtime, partial(self._let_through, host))
            elif self._timeout_s is None:
                value = await runtime.call(self.name, self.function, self.args, self.kwargs)
            else:
                value = await self._limited(runtime)
        finally:
            code.close()
            if self._attempt is not None:
                self._attempt.end()
        if code.has_emitted:
            await code.end()
        return value

    async def _let_through(self, host: CommandHost) -> Any:
        """Call the function now that what stands around it lets it: the attempt begins here."""
        runtime = host.runtime
        self.began_at = runtime.now()
        if runtime.observers is not None:
            runtime.observers.step_began(host.run, self, self.began_at)
        return await self._limited(runtime)

    async def _limited(self, runtime: FlowRuntime) -> Any:
        async with runtime.timeout(self._timeout_s):
            return await runtime.call(self.name, self.function, self.args, self.kwargs)

    def _tried(self, host: CommandHost, done: asyncio.Task[Any]) -> None:
        self._task = None
        self.is_busy = False
        if self.is_abandoned or self.future.cancelled():
            self._left(host, done)
            return
        error = asyncio.CancelledError(ITSELF) if done.cancelled() else done.exception()
        if error is None:
            error = self._keep(host, done.result())
            if error is None:
                return
        if isinstance(error, ClaimLost):
            host.lose_claim()
            return
        wait = postponed(error)
        if wait is not None:
            self._postpone(host, wait)
        elif isinstance(error, CircuitOpen | BudgetExceeded) and self._around is not None:
            self._error = error
            self._write_error(host, pack_refused(error), error)
        else:
            self._write_failure(host, error)

    def _left(self, host: CommandHost, done: asyncio.Task[Any]) -> None:
        """Take leave of an attempt whose value nobody wants."""
        left = None if done.cancelled() else done.exception() or done.result()
        if self.spends is not None:
            self.spends.leave(host.runtime, left)
        if self._around is not None:
            host.runtime.limits.flush()
        host.wake()

    def _keep(self, host: CommandHost, value: Any) -> BaseException | None:
        """Remember the value; returns why it cannot be kept."""
        try:
            data = self._pack(value, host.runtime.limit)
        except PayloadTooLarge as problem:
            if self.spends is not None:
                self.spends.price(problem, value)
            return with_usage(problem, value)
        except BaseException as problem:  # noqa: BLE001  what packs a value is user code as well
            return problem
        self._write(host, EntryKind.VALUE, data, value)
        return None

    def _postpone(self, host: CommandHost, wait: Postponed) -> None:
        """Wait, and be tried again: this was no attempt."""
        self.began_at, self.due_at, self._postponed = None, wait.due_at, wait
        if wait.inbox is not None:
            version = host.inbox_version
            host.note_inbox(wait.inbox)  # what came in before it was refused wakes nobody
            self._seen += host.inbox_version - version
        if self.spends is not None:
            self.spends.leave(host.runtime, wait)
            if self.spends.has_news:
                self.due_at = None
        host.wake()

    def _pack(self, value: Any, limit: int) -> bytes:
        what = f"the value of step {self.name!r}"
        if isinstance(self.read, ResultReader):
            self.read.check(value, what)
        return pack(value, what=what, limit=limit)

    def _write_failure(self, host: CommandHost, error: BaseException) -> None:
        fault, failures = raised(error, self._policy), self._failures + 1
        rest = fault.rest if fault.retryable else None
        if rest is not None and not rest.is_attempt:
            self.began_at = None  # no attempt counts
            data = rest_for(host.runtime, self.name, rest, fault.error.message)
            self._write(host, EntryKind.TRY, data, error)
            return
        brief = fault.error.brief() if rest is None else rest_beside(host.runtime, rest, fault)
        info, most = fault.error, self._policy.max_attempts
        if not fault.retryable or failures >= most:
            self._error = escaped(error)
            log.warning(
                "run=%s step %r failed for good, attempt %s of %s: %s\n%s", host.run.id, self.name,
                failures, most, info.summary, info.traceback.rstrip(),
            )  # fmt: skip
            self._write_error(host, pack_error(self.name, info, error, host.runtime.limit), error)
            return
        runtime = host.runtime
        wait_s = max(self._policy.wait_s(failures, runtime.spread()), fault.retry_after_s or 0.0)
        log.warning(
            "run=%s step %r attempt %s of %s failed: %s; next in %.3g s", host.run.id, self.name,
            failures, most, info.summary, wait_s,
        )  # fmt: skip
        due_at = runtime.now() + wait_s
        self._write(host, EntryKind.TRY, write_try(due_at, brief), error)

    def _write(self, host: CommandHost, kind: EntryKind, data: bytes, came_to: Any) -> None:
        """Remember an attempt, and settle in that write what it has cost."""
        if self.spends is None:
            host.write(self, kind, data)
        else:
            host.write(self, kind, data, self.spends.settling(came_to))

    def _write_error(self, host: CommandHost, data: bytes, error: BaseException) -> None:
        """Remember the error; what the last attempt has emitted is declared void before."""
        code = self._code
        if code is None or not code.has_emitted:
            self._write(host, EntryKind.ERROR, data, error)
            return

        def go_on(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and isinstance(done.exception(), ClaimLost):
                host.lose_claim()
            elif self.is_abandoned or not self.is_wanted:
                self.is_busy = False
                host.wake()
            else:
                self._write(host, EntryKind.ERROR, data, error)

        self.is_busy = True
        code.reset(None)
        host.spawn(code.end(), go_on)

"""Steps: a function is called until it returns, or fails for good; either is remembered."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from stepflow.core.backoff import ONCE, RetryPolicy
from stepflow.core.journal import Entry, EntryKind, counts_as_attempt, read_try, was_refused
from stepflow.engine.user_code.arguments import ResultReader
from stepflow.engine.user_code.calls import escaped, passes, postponed, stop_waiting
from stepflow.errors import BudgetExceeded, CircuitOpen, ClaimLost, PayloadTooLarge, Postponed
from stepflow.kits.flow.around.attempt import Attempt
from stepflow.kits.flow.around.code import AttemptCode
from stepflow.kits.flow.around.failed import failure_of, read_error, with_usage
from stepflow.kits.flow.around.refused import pack_refused
from stepflow.kits.flow.around.spends import Spends
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.current_step import CurrentStep
from stepflow.kits.flow.runtime import FlowRuntime, OutputScope
from stepflow.logs import enter
from stepflow.store.clock import told
from stepflow.store.values import offloaded
from stepflow.store.values.codec import pack, unpack

#: what stands around the call of a step's function, such as a circuit breaker: it is given the
#: runtime and the call, and may raise Postponed instead of making it
Around = Callable[[FlowRuntime, Callable[[], Awaitable[Any]]], Awaitable[Any]]


#: what the error of a function says that has cancelled its own task
ITSELF = "the step cancelled itself"


class StepCommand(Command):
    """The value of `function(*args, **kwargs)`; *timeout_s* is for one attempt."""

    __slots__ = (
        "_around", "_attempt", "_code", "_context", "_error", "_failures", "_host", "_is_given_up",
        "_memo", "_policy", "_postponed", "_scope_name", "_seen", "_task", "_timeout_s", "args",
        "function", "is_abandoned", "key", "kwargs", "spends", "was_refused",
    )  # fmt: skip
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
        self._host: CommandHost | None = None
        self._task: asyncio.Task[None] | None = None
        #: nobody wants its value any more: what its function does from here on does not count
        self.is_abandoned = self._is_given_up = False

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
            work = self._try(host, self._begin_code(host))
            # a copy: what its function changes there is not for the next attempt to see
            task = host.spawn(work, None, self._context.copy())
            self._host, self._task = host, None if task.done() else task

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
        return host.runtime.output_scope(self._scope_in(host, failures), failures + 1, self.name)

    def abandon(self) -> None:
        self.is_abandoned = True
        task, self._task = self._task, None
        if task is not None:
            task.add_done_callback(self._never_begun)
            task.cancel()

    def _never_begun(self, done: asyncio.Task[None]) -> None:
        if done.cancelled() and self._host is not None:  # `_try` would have seen to it
            self._left(self._host)

    def give_up(self) -> None:
        self._is_given_up = True
        stop_waiting(self._postponed)
        self.abandon()

    def void_output(self, host: CommandHost, *, was_begun: bool = False) -> None:
        code, self._code = self._code, None
        if self.is_writing:
            return
        if code is None and (self._failures or was_begun) and host.run.has_output:
            # of an attempt in an earlier activation
            where = self._scope_in(host, self._failures)
            host.runtime.output_scope(where, self._failures, self.name).reset(None)
        elif code is not None and code.has_emitted:
            code.close()
            code.reset(None)

    @property
    def occurrence(self) -> str:
        """What names it in one history: its place, with how often its key was forgotten."""
        return self._scope_name

    def _scope_in(self, host: CommandHost, _failures: int) -> str:
        """Name the scope of its attempts: a place means another step in each history."""
        return f"{host.restarts}/{self._scope_name}" if host.restarts else self._scope_name

    async def _try(self, host: CommandHost, code: AttemptCode) -> None:
        """
        Call the function, and see to what has come of it.

        All that it emits is written before its value is. What it comes to is seen to here rather
        than when the task is done: that would cost every step a turn of the loop.
        """
        enter(code)
        runtime, value = host.runtime, None
        error: BaseException | None = None
        try:
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
        except BaseException as problem:  # among them a cancellation
            if isinstance(problem, GeneratorExit) and passes(problem):  # its loop has ended
                raise
            error = problem
        try:
            self._tried(host, value, error)
        except Exception as problem:  # noqa: BLE001  ends the activation
            host.fail(problem)
        finally:
            error = None  # its traceback has this frame

    async def _let_through(self, host: CommandHost) -> Any:
        """Call the function now that what stands around it lets it: the attempt begins here."""
        runtime = host.runtime
        self.began_at = runtime.now()
        if runtime.observers is not None:
            runtime.observers.step_began(host.run, self, self.began_at)
        return await self._limited(runtime)

    async def _limited(self, runtime: FlowRuntime) -> Any:
        async with told(runtime.timeout(self._timeout_s), self._timeout_s):
            return await runtime.call(self.name, self.function, self.args, self.kwargs)

    def _tried(self, host: CommandHost, value: Any, error: BaseException | None) -> None:
        """See to what an attempt has come to: *value*, or *error*."""
        self._task = None
        self.is_busy = False
        if self.is_abandoned or self.future.cancelled():
            if self._is_given_up or self.future.cancelled():
                stop_waiting(error)  # it had just been told to wait
            self._left(host, None if isinstance(error, asyncio.CancelledError) else error or value)
            return
        if error is None:
            error = self._keep(host, value)
            if error is None:
                return
        if isinstance(error, asyncio.CancelledError):
            error = asyncio.CancelledError(ITSELF)
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

    def _left(self, host: CommandHost, came_to: Any = None) -> None:
        """Take leave of an attempt that nobody wants any more; it may not have begun."""
        self._task = None
        self.is_busy = False
        if self.spends is not None:
            self.spends.leave(host.runtime, came_to)
        if self._around is not None:
            host.runtime.limits.flush()
        host.wake()

    def _keep(self, host: CommandHost, value: Any) -> BaseException | None:
        """Remember the value; returns why it cannot be kept."""
        store = offloaded.in_use
        try:
            data = self._pack(value, host.runtime.limit if store is None else store.limit)
        except PayloadTooLarge as problem:
            if self.spends is not None:
                self.spends.price(problem, value)
            return with_usage(problem, value)
        except BaseException as problem:  # noqa: BLE001  what packs a value is user code as well
            return problem
        self._code = None  # it knows the step as well: a circle that only a collection takes apart
        if store is not None and store.takes(data):
            work = host.runtime.offload(data, f"the value of step {self.name!r}")
            self._write_after(host, work, EntryKind.VALUE, value)
        else:
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
        failure = failure_of(
            host.runtime, self.name, error, policy=self._policy, attempt=self.attempt
        )
        if failure.is_final:
            self._error = escaped(error)
            self._write_error(host, failure.data, error)
            return
        if not failure.counts:
            self.began_at = None
        self._write(host, EntryKind.TRY, failure.data, error)

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

        async def void_first() -> bytes:
            await code.end()
            return data

        code.reset(None)
        self._write_after(host, void_first(), EntryKind.ERROR, error)

    def _write_after(
        self, host: CommandHost, work: Coroutine[Any, Any, bytes], kind: EntryKind, came_to: Any
    ) -> None:
        """Remember an attempt by what *work* gives, unless nobody wants it by then."""

        def go_on(done: asyncio.Task[bytes]) -> None:
            if not done.cancelled() and isinstance(done.exception(), ClaimLost):
                host.lose_claim()
            elif self.is_abandoned or not self.is_wanted:
                self._left(host, came_to)
            else:
                self._write(host, kind, done.result(), came_to)

        self.is_busy = True
        host.spawn(work, go_on)

"""
Steps: a function is called until it returns a value or its attempts are used up.

Either is remembered.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.cancel import CancelToken
from stepflow.core.ids import idempotency_key
from stepflow.core.journal import Entry, EntryKind, write_try
from stepflow.core.outcomes import ErrorInfo
from stepflow.engine.user_code.arguments import ResultReader
from stepflow.engine.user_code.calls import data_of, escaped, raised
from stepflow.errors import ClaimLost, PayloadTooLarge, StepFailed
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.current_step import CurrentStep, StepMemo, present, refuse_memo
from stepflow.kits.flow.runtime import FlowRuntime, OutputScope
from stepflow.logs import enter
from stepflow.store.values.codec import pack, unpack

log = logging.getLogger("stepflow.flow")


class StepCommand(Command):
    """The value of `function(*args, **kwargs)`; *timeout_s* is for one attempt."""

    __slots__ = (
        "_attempt",
        "_context",
        "_error",
        "_failures",
        "_memo",
        "_policy",
        "_scope",
        "_scope_name",
        "_task",
        "_timeout_s",
        "args",
        "function",
        "is_abandoned",
        "key",
        "kwargs",
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
        *,
        policy: RetryPolicy,
        timeout_s: float | None = None,
        read: Callable[[Any], Any] | None = None,
        scope: str = "",
        context: contextvars.Context | None = None,
    ) -> None:
        super().__init__(place, name, future, read)
        #: the context variables of the code that asked for it, which its function sees
        self._context = contextvars.copy_context() if context is None else context
        #: the key that it was given
        self.key: str | None = None
        #: what its attempts have left to those after them; None for most
        self._memo: dict[str, Any] | None = None
        self._attempt: Attempt | None = None
        self._scope_name = scope or place
        self._scope: OutputScope | None = None
        self.function = function
        self.args = args
        self.kwargs: Mapping[str, Any] = kwargs or {}
        self._policy = policy
        self._timeout_s = timeout_s
        self._failures = 0
        #: what its last attempt raised; None on replay
        self._error: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None
        #: nobody wants its value any more: what its function does from here on, cancelled or not,
        #: does not count
        self.is_abandoned = False

    def is_resolved_by(self, entry: Entry) -> bool:
        if entry.kind is EntryKind.TRY:
            self._failures += 1
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

    def resolve(self, entry: Entry) -> None:
        if entry.kind is EntryKind.ERROR:
            kind, message, trace, *data = unpack(entry.data)
            failed = StepFailed(self.name, kind, message, *data)
            if self._error is not None:
                failed.__cause__, self._error = self._error, None
            elif trace:
                failed.add_note(f"The step's own error:\n{trace.rstrip()}")
            self.future.set_exception(failed)
        else:
            self.resolve_with(entry.data)

    def advance(self, host: CommandHost, now: float) -> None:
        if self.due_at is None or self.due_at <= now:
            self.is_busy, self.began_at = True, now
            if host.runtime.observers is not None:
                host.runtime.observers.step_began(host.run, self, now)
            self._attempt = Attempt(self, host)
            work = self._call(host.runtime, self._begin_scope(host), self._attempt)
            # a copy: what its function changes there is not for the next attempt to see
            self._task = host.spawn(work, partial(self._tried, host), self._context.copy())

    def _begin_scope(self, host: CommandHost) -> OutputScope:
        """Make where its emits lead; what earlier attempts have emitted is void."""
        attempt = self._failures + 1
        scope = self._scope = host.runtime.output_scope(self._scope_in(host), attempt, self.name)
        if host.run.has_output and (attempt > 1 or host.was_begun_before(self)):
            scope.reset(attempt)
        return scope

    def abandon(self) -> None:
        self.is_abandoned = True
        if self._task is not None:
            self._task.cancel()

    def void_output(self, host: CommandHost, *, was_begun: bool = False) -> None:
        scope, self._scope = self._scope, None
        if scope is None and (self._failures or was_begun) and host.run.has_output:
            # of an attempt in an earlier activation
            scope = host.runtime.output_scope(self._scope_in(host), self._failures, self.name)
            scope.reset(None)
        elif scope is not None and scope.has_emitted and not self.is_writing:
            scope.close()
            scope.reset(None)

    @property
    def occurrence(self) -> str:
        """What names it in one history: its place, with how often its key was forgotten."""
        return self._scope_name

    def _scope_in(self, host: CommandHost) -> str:
        """Name its scope: a place means another step in each history."""
        return f"{host.restarts}/{self._scope_name}" if host.restarts else self._scope_name

    async def _call(self, runtime: FlowRuntime, scope: OutputScope, attempt: Attempt) -> Any:
        """Call the function; all that it emits is written before its value is."""
        enter(scope)
        present.set(attempt)
        try:
            if self._timeout_s is None:
                value = await runtime.call(self.name, self.function, self.args, self.kwargs)
            else:
                value = await self._limited(runtime)
        finally:
            scope.close()
            attempt.end()
        if scope.has_emitted:
            await scope.end()
        return value

    async def _limited(self, runtime: FlowRuntime) -> Any:
        async with runtime.timeout(self._timeout_s):
            return await runtime.call(self.name, self.function, self.args, self.kwargs)

    def _tried(self, host: CommandHost, done: asyncio.Task[Any]) -> None:
        self._task = None
        self.is_busy = False
        if self.is_abandoned or not self.is_wanted:
            if not done.cancelled():
                done.exception()
            host.wake()
            return
        error = (
            asyncio.CancelledError("the step cancelled itself")
            if done.cancelled()
            else done.exception()
        )
        if error is None:
            try:
                data = self._pack(done.result(), limit=host.runtime.limit)
            except PayloadTooLarge as problem:
                error = _with_usage(problem, done.result())
            except BaseException as problem:  # noqa: BLE001  what packs a value is user code as well
                error = problem
            else:
                host.write(self, EntryKind.VALUE, data)
                return
        if isinstance(error, ClaimLost):
            host.lose_claim()
            return
        self._write_failure(host, error)

    def _pack(self, value: Any, *, limit: int) -> bytes:
        what = f"the value of step {self.name!r}"
        if isinstance(self.read, ResultReader):
            self.read.check(value, what)
        return pack(value, what=what, limit=limit)

    def _write_failure(self, host: CommandHost, error: BaseException) -> None:
        fault, failures = raised(error, self._policy), self._failures + 1
        info, most = fault.error, self._policy.max_attempts
        if not fault.retryable or failures >= most:
            self._error = escaped(error)
            log.warning(
                "run=%s step %r failed for good, attempt %s of %s: %s\n%s", host.run.id, self.name,
                failures, most, info.summary, info.traceback.rstrip(),
            )  # fmt: skip
            self._write_error(host, self._pack_error(info, error, host.runtime.limit))
            return
        runtime = host.runtime
        wait_s = max(self._policy.wait_s(failures, runtime.spread()), fault.retry_after_s or 0.0)
        log.warning(
            "run=%s step %r attempt %s of %s failed: %s; next in %.3g s", host.run.id, self.name,
            failures, most, info.summary, wait_s,
        )  # fmt: skip
        due_at = runtime.now() + wait_s
        host.write(self, EntryKind.TRY, write_try(due_at, fault.error.brief()))

    def _pack_error(self, info: ErrorInfo, error: BaseException, limit: int) -> bytes:
        """Pack an error and the data that it carries, or without that where it cannot be kept."""
        parts = [info.type, info.message, info.traceback]
        data = data_of(error)
        if data is not None:
            try:
                return pack([*parts, data], what="the data of its error", limit=limit)
            except Exception as problem:  # noqa: BLE001  what packs a value is user code as well
                log.warning("step %r: its error is kept without its data: %s", self.name, problem)
        return pack(parts)

    def _write_error(self, host: CommandHost, data: bytes) -> None:
        """Remember the error; what the last attempt has emitted is declared void before."""
        scope = self._scope
        if scope is None or not scope.has_emitted:
            host.write(self, EntryKind.ERROR, data)
            return

        def go_on(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and isinstance(done.exception(), ClaimLost):
                host.lose_claim()
            elif self.is_abandoned or not self.is_wanted:
                self.is_busy = False
                host.wake()
            else:
                host.write(self, EntryKind.ERROR, data)

        self.is_busy = True
        scope.reset(None)
        host.spawn(scope.end(), go_on)


def _with_usage(error: PayloadTooLarge, value: Any) -> PayloadTooLarge:
    """Have the error for a value keep what the value says that it has cost."""
    try:
        usage = getattr(value, "stepflow_usage", None)
    except BaseException:  # noqa: BLE001  a property of user code
        usage = None
    if usage is not None:
        error.stepflow_data = {"size": error.size, "limit": error.limit, "usage": usage}
    return error


class Attempt:
    """
    One attempt of a step, as its function may ask about it.

    Called it gives the CurrentStep; most attempts are never asked.
    """

    __slots__ = ("_command", "_host", "_is_over", "_loop", "_made", "_unsubscribe", "_writing")

    def __init__(self, command: StepCommand, host: CommandHost) -> None:
        self._command = command
        self._host = host
        self._is_over = False
        self._made: CurrentStep | None = None

    def __call__(self) -> CurrentStep:
        """Return the step; any thread may ask."""
        if self._made is None:
            command, host = self._command, self._host
            run, cancel = host.run, CancelToken()
            self._writing: deque[asyncio.Future[None]] = deque()
            self._loop = host.outer_loop
            self._unsubscribe = host.runtime.cancel.subscribe(
                lambda: cancel.fire(host.runtime.cancel.reason or "")
            )
            self._made = CurrentStep(
                run.id, command.name, command.key,
                attempt=command.attempt, is_last_attempt=command.is_last_attempt,
                idempotency_key=idempotency_key(run.seed, host.restarts, command.occurrence),
                memo=StepMemo(command.memo, self, self._loop), cancel=cancel,
            )  # fmt: skip
            if self._is_over:
                self.end()
        return self._made

    def remember(self, key: str, value: Any) -> asyncio.Future[None]:
        """Put a memo value; the future is done when it is durable."""
        command, host = self._command, self._host
        if self._is_over:
            raise refuse_memo(host.run.id, command.name)
        what = f"memo {key!r} of step {command.name!r}"
        data = pack([key, value], what=what, limit=host.runtime.limit)
        written: asyncio.Future[None] = self._loop.create_future()
        self._writing.append(written)
        host.leave_memo(command, data)
        return written

    def note_written(self) -> None:
        """Learn that the first of the memos on their way is durable."""
        if self._made is not None and self._writing:
            written = self._writing.popleft()
            if not written.done():
                written.set_result(None)

    def end(self) -> None:
        """Take no more memos, and tell who still works on it that nobody waits any more."""
        self._is_over = True
        if self._made is not None:
            self._unsubscribe()
            self._made.cancel.fire("the attempt has ended")
            while self._writing:
                self._writing.popleft().cancel()

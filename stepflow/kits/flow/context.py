"""`ctx`, which every workflow is called with: its only way to the world."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.ids import check_name, check_text
from stepflow.core.journal import KEYED
from stepflow.core.outcomes import LONGEST_TEXT
from stepflow.core.run import Priority
from stepflow.engine.signal import check_signal
from stepflow.engine.spec import RunSpec
from stepflow.engine.user_code.arguments import bind
from stepflow.errors import InvalidOption, StepFailed, shown
from stepflow.kits.flow.commands.child import Child, id_at, spawn
from stepflow.kits.flow.commands.expected import ExpectedAnswer, ExpectedType
from stepflow.kits.flow.commands.forget import ForgetCommand
from stepflow.kits.flow.commands.map import Policy, carry_map
from stepflow.kits.flow.commands.question import QuestionCommand
from stepflow.kits.flow.commands.remote_step import step_remotely
from stepflow.kits.flow.commands.sleep_and_signal import SignalCommand, SleepCommand
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.kits.flow.commands.variable import Session, Variables
from stepflow.kits.flow.replay.activation import Activation
from stepflow.kits.flow.step_options import (
    Readers,
    StepOptions,
    compensation_of,
    options_of,
    step_name,
)
from stepflow.logs import StepLog
from stepflow.store.values.codec import pack
from stepflow.times import seconds, unix_time


class Context:
    """
    The workflow's side of its run.

    Everything here is remembered: on replay it answers at once, with what it answered first.
    Outside of `ctx` your workflow may compute, branch and `gather` as it likes, but not wait, draw
    random numbers or read the clock.
    """

    def __init__(
        self,
        activation: Activation,
        *,
        headers: Mapping[str, str],
        readers: Readers,
    ) -> None:
        self._activation = activation
        self._policy = activation.runtime.policy
        self._readers = readers
        self.run_id = activation.run.id
        self.headers = headers

    def step(
        self,
        name: str | Callable[..., Any],
        /,
        *args: Any,
        key: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        compensate: Callable[[Any], Any] | None = None,
        queue: str | None = None,
        **kwargs: Any,
    ) -> asyncio.Future[Any]:
        """
        Run a function once and remember its value: `await ctx.step("search", search_web, topic)`.

        The function may be `async def`, or plain: then it runs in a thread. What you do not pass
        here comes from `@app.step` above the function. *retry* is the workflow's by default,
        *timeout* (seconds or timedelta) is of one attempt. With a *key* the step is known by that
        key wherever it stands, and a second call returns the remembered value. Should the run fail
        or be cancelled, *compensate* is called with the step's value, and tried as the step itself
        is. On another *queue* the step is a child run of one step, done by a worker of that queue:
        its function must be declared. The place is taken when you call this.

        Raises StepFailed in the workflow when the attempts are used up.
        """
        name, function, args = _named(name, args)
        own = options_of(function)
        place = self._activation.next_place() if key is None else self._keyed_place(key)
        policy = retry or own.retry or self._policy
        timeout_s = (
            own.timeout_s if timeout is None else seconds(timeout, f"timeout of step {name!r}")
        )
        undo = compensate or own.compensate
        compensation = None if undo is None else compensation_of(undo, policy, timeout_s)
        read = self._readers.of(function)
        queue = queue or own.queue
        if queue is not None:
            _check_remote(name, own, timeout)
            occurrence = self._activation.commands.keyed.occurrence(place)
            spec = RunSpec(
                own.runner, bind(function, args, kwargs), id_at(self._activation, occurrence),
                queue=queue, retry=policy, priority=self._activation.run.priority, version=1,
            )  # fmt: skip
            return step_remotely(
                self._activation, place, name, spec, read=read, compensation=compensation
            )
        command = StepCommand(
            place, name, self._activation.create_future(), function, args, kwargs,
            policy=policy, timeout_s=timeout_s, read=read,
        )  # fmt: skip
        command.compensation = compensation
        return self._activation.start(command)

    def _keyed_place(self, key: str) -> str:
        self._activation.check_caller()
        return KEYED + _check_name(key)

    def forget(self, key: str) -> asyncio.Future[None]:
        """
        Forget the values of steps with this *key*: the next one runs its function again.

        That is remembered, and holds from this call on.
        """
        self._activation.commands.keyed.forget(_check_name(key))
        return self._activation.start(
            ForgetCommand(self._activation.next_place(), key, self._activation.create_future())
        )

    def patched(self, name: str) -> bool:
        """
        Choose the way at a change of your code: `if ctx.patched("v2"): new else: old`.

        True for a run that gets here for the first time, and from then on; False for one that had
        gone past before the change. Takes no place.
        """
        self._activation.check_caller()
        return self._activation.patched(_check_name(name))

    def continue_as_new(self, new_input: Any = None) -> asyncio.Future[Any]:
        """
        End this history and go on under the same run id with *new_input*.

        Write `return await ctx.continue_as_new(new_input)`. The journal begins anew, so that a loop
        stays small; the mailbox, the variables and the children stay. Nothing that was done is
        undone, as at the end of a run that succeeds.
        """
        self._activation.check_caller()
        future = self._activation.create_future()
        future.set_result(self._activation.continue_as_new(new_input))
        return future

    async def poll(
        self,
        name: str | Callable[..., Any],
        /,
        *args: Any,
        every: float | timedelta,
        timeout: float | timedelta | None = None,
        max_errors: int = 3,
        **kwargs: Any,
    ) -> Any:
        """
        Call a function as `step` would until it returns something other than None; return that.

        Returns None after *timeout*, which ends a try that is under way as well. Between tries the
        run waits for *every*, without a worker. Both are seconds or a timedelta. Raises StepFailed
        for the *max_errors*-th failure in a row.
        """
        every_s = seconds(every, "every of ctx.poll")
        ends_s = None if timeout is None else seconds(timeout, "timeout of ctx.poll")

        def attempt() -> asyncio.Future[Any]:
            return self.step(name, *args, retry=ONCE, **kwargs)

        return await carry_poll(self, attempt, every_s, ends_s, max_errors)

    @property
    def vars(self) -> Variables:
        """The variables of this run: `await ctx.vars.incr("turns")`."""
        return Variables(self._activation)

    def session(self, session_id: str) -> Session:
        """
        Return what the runs of a session share: `ctx.session(user).vars`.

        It is kept for days after its last use (`settings.retention.session_s`).
        """
        return Session(self._activation, session_id)

    def spawn(
        self,
        workflow: str,
        payload: Any = None,
        *,
        key: str | None = None,
        queue: str | None = None,
        priority: str | Priority | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | timedelta | None = None,
        version: int | None = None,
        abandon: bool = False,
    ) -> asyncio.Future[Child]:
        """
        Begin a child run, once whatever is replayed: `child = await ctx.spawn("publish", {...})`.

        *queue* and *priority* are this run's own by default, *version* is the newest one known to
        this worker; *timeout* (seconds or timedelta) is of the whole child. With a *key* the child
        is known by that key wherever it stands. A child that still runs when this run ends is
        cancelled, unless you *abandon* it. `await child.result()` waits for its end.
        """
        place = self._activation.next_place() if key is None else f"key:spawn:{_check_name(key)}"
        spec = self._child(workflow, queue, priority, headers, timeout, version)
        spec = replace(spec, payload=payload, run_id=id_at(self._activation, place))
        return spawn(self._activation, place, spec, abandon=abandon)

    def map(
        self,
        workflow: str,
        items: Iterable[Any],
        *,
        limit: int | None = None,
        policy: Policy = "all",
        queue: str | None = None,
        priority: str | Priority | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | timedelta | None = None,
        version: int | None = None,
    ) -> Coroutine[Any, Any, list[Any]]:
        """
        Begin a child run for each item, at most *limit* at once, and wait until *policy* is met.

        "all" returns the results in the order of the items; "settled" a result or a ChildFailed for
        each; a number n returns (index, result) of the first n that succeeded. Once n have
        succeeded, the rest is cancelled. *timeout* (seconds or timedelta) counts from the beginning
        of the map, also for a child that has not begun.

        Raises ChildFailed of the child by whose end the policy can no longer be met; the rest is
        cancelled then too.
        """
        spec = self._child(workflow, queue, priority, headers, timeout, version)
        return carry_map(
            self._activation,
            self._activation.next_place(),
            spec,
            list(items),
            limit=limit,
            policy=policy,
        )

    @property
    def log(self) -> StepLog:
        """A logger for the workflow's own code; silent where that only repeats what it did."""
        return self._activation.log

    def now(self) -> datetime:
        """Return the time of the last thing remembered: the same on replay, and free."""
        return datetime.fromtimestamp(self._activation.loop.now, UTC)

    def random(self) -> random.Random:
        """
        Return a source of random numbers that follows from the run and this place.

        It is the same on replay, and free.
        """
        run, restarts = self._activation.run, self._activation.restarts
        history = f"{run.seed}.{restarts}" if restarts else run.seed
        return random.Random(f"{history}.{self._activation.next_place()}")

    def uuid(self) -> uuid.UUID:
        """Return a UUID that follows from the run and this place: the same on replay, and free."""
        return uuid.UUID(int=self.random().getrandbits(128), version=4)

    def _child(
        self,
        workflow: str,
        queue: str | None,
        priority: str | Priority | None,
        headers: Mapping[str, str] | None,
        timeout: float | timedelta | None,
        version: int | None,
    ) -> RunSpec:
        run = self._activation.run
        return RunSpec(
            check_name("runner", workflow), headers=headers or {}, queue=queue or run.queue,
            timeout=None if timeout is None else seconds(timeout, f"timeout of child {workflow!r}"),
            priority=run.priority if priority is None else priority, version=version,
        )  # fmt: skip

    def sleep(self, duration: float | timedelta) -> asyncio.Future[None]:
        """
        Wait that long (seconds or timedelta), without keeping a worker.

        The end is fixed once: a crash does not start the wait anew.
        """
        wait_s = seconds(duration, "the time of ctx.sleep")
        return self._activation.start(
            SleepCommand(self._activation.next_place(), self._activation.create_future(), wait_s)
        )

    def sleep_until(self, moment: float | datetime) -> asyncio.Future[None]:
        """Wait until then (unix seconds or an aware datetime)."""
        wait_s = max(
            0.0, unix_time(moment, "the moment of ctx.sleep_until") - self._activation.runtime.now()
        )
        return self._activation.start(
            SleepCommand(self._activation.next_place(), self._activation.create_future(), wait_s)
        )

    def wait_for_signal(
        self,
        *names: str,
        timeout: float | timedelta | None = None,
        type: Any = None,  # noqa: A002  the public face
    ) -> asyncio.Future[Any]:
        """
        Wait for the first signal of these names; returns its payload, as *type*.

        Returns None after *timeout* (seconds or timedelta). While the run waits, a sender cannot
        send what is not of that type; a signal that came before and does not fit is set aside.
        """
        if not names:
            msg = "ctx.wait_for_signal needs a name to wait for"
            raise InvalidOption(msg)
        what = f"signal {','.join(check_signal(name) for name in names)}"
        wait_s = None if timeout is None else seconds(timeout, "timeout of ctx.wait_for_signal")
        expected = None
        if type is not None:
            expected = self._readers.known((what, type), lambda: ExpectedType(what, type))
        return self._activation.start(
            SignalCommand(
                self._activation.next_place(),
                self._activation.create_future(),
                names,
                wait_s,
                expected,
            )
        )

    def ask(
        self, wanted: Any, prompt: str, timeout: float | timedelta | None = None
    ) -> asyncio.Future[Any]:
        """
        Ask people a question and wait for the answer; returns None after *timeout*.

        `if await ctx.ask(bool, "Publish?", timeout=timedelta(days=3)):`. *wanted* is a type, as
        which the answer comes, or a JSON schema. `client.questions` lists the question, and
        `client.answer` answers it, once.
        """
        wait_s = None if timeout is None else seconds(timeout, "timeout of ctx.ask")
        check_text("the prompt of ctx.ask", prompt, most=LONGEST_TEXT, least=0)
        key = repr(wanted) if isinstance(wanted, Mapping) else wanted
        answer = self._readers.known(("ask", key), lambda: ExpectedAnswer(wanted))
        pack(
            [prompt, answer.schema], what="what ctx.ask asks", limit=self._activation.runtime.limit
        )
        return self._activation.start(
            QuestionCommand(
                self._activation.next_place(),
                self._activation.create_future(),
                self._activation,
                answer,
                prompt,
                wait_s,
            )
        )


def _named(
    name: str | Callable[..., Any], args: tuple[Any, ...]
) -> tuple[str, Callable[..., Any], tuple[Any, ...]]:
    """Return the name of a step, its function and the arguments of that."""
    if callable(name):
        function, name = name, step_name(name)
    elif args and callable(args[0]):
        function, args = args[0], args[1:]
    else:
        msg = (
            f"ctx.step({name!r}) was given no function; "
            f"write ctx.step({name!r}, function, arguments ...)"
        )
        raise InvalidOption(msg)
    return _check_name(name), function, args


def _check_remote(name: str, own: StepOptions, timeout: float | timedelta | None) -> None:
    if not own.runner:
        msg = (
            f"step {name!r} is to run on another queue, whose workers find it by the app: "
            "put @app.step above its function"
        )
        raise InvalidOption(msg)
    if timeout is not None:
        msg = (
            f"step {name!r} runs on another queue, as its own run: "
            "give its timeout to @app.step, not to ctx.step"
        )
        raise InvalidOption(msg)


def _check_name(name: str) -> str:
    try:
        return check_text("the name", name, without="|")
    except InvalidOption:
        msg = (
            f"{shown(name)} cannot name a step: use 1 to 200 characters without '|', valid Unicode"
        )
        raise InvalidOption(msg) from None


#: the policy of a single try
ONCE = RetryPolicy(max_attempts=1)


async def carry_poll(
    ctx: Context,
    attempt: Callable[[], Awaitable[Any]],
    every_s: float,
    timeout_s: float | None,
    max_errors: int,
) -> Any:
    """Try until *attempt* returns something other than None; see `Context.poll`."""
    over = None if timeout_s is None else asyncio.ensure_future(ctx.sleep(timeout_s))
    try:
        return await _poll(ctx, attempt, every_s, over, max_errors)
    finally:
        if over is not None:
            over.cancel()


async def _poll(
    ctx: Context,
    attempt: Callable[[], Awaitable[Any]],
    every_s: float,
    over: asyncio.Future[None] | None,
    max_errors: int,
) -> Any:
    errors = 0
    while True:
        trying = asyncio.ensure_future(attempt())
        if not await _before(over, trying):
            return None
        try:
            found = trying.result()
        except StepFailed:
            errors += 1
            if errors >= max_errors:
                raise
        else:
            errors = 0
            if found is not None:
                return found
        if not await _before(over, ctx.sleep(every_s)):
            return None


async def _before(over: asyncio.Future[None] | None, waited: asyncio.Future[Any]) -> bool:
    """Wait for *waited*, and cancel it should the time be *over* before; False for that."""
    try:
        await asyncio.wait(
            {waited} if over is None else {waited, over}, return_when=asyncio.FIRST_COMPLETED
        )
        return waited.done()
    finally:
        waited.cancel()

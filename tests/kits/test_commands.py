"""Commands, each with a host that is no activation: what they ask of it, and when."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from stepflow import StepFailed
from stepflow.core.backoff import RetryPolicy
from stepflow.core.journal import Entry, EntryKind
from stepflow.core.run import Run
from stepflow.kits.flow.commands.child import ChildCommand
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.sleep_and_signal import SignalCommand, SleepCommand
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.store.values.codec import pack
from tests.kits.memory import FamilyRuntime


class Host:
    """Notes what commands ask for; what they write is handed to them at once."""

    restarts = 0
    is_live = True

    def __init__(self) -> None:
        self.run = Run("r", "w")
        self.runtime: Any = FamilyRuntime()
        self.inbox_version = 1
        self.written: list[EntryKind] = []
        self.looked: list[EntryKind] = []
        self.ends: dict[str, bytes] = {}
        self.is_lost = False
        self.wakes = 0
        self.failed: list[Exception] = []

    @property
    def outer_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def spawn(
        self,
        work: Coroutine[Any, Any, Any],
        then: Callable[[asyncio.Task[Any]], None] | None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, context=context)
        if then is not None:
            task.add_done_callback(then)
        return task

    def was_begun_before(self, command: Any) -> bool:
        return False

    def write(self, command: Any, kind: EntryKind, data: bytes = b"", settling: Any = None) -> None:
        self.written.append(kind)
        entry = Entry(kind, command.place, command.name, 0.0, data)
        if command.is_resolved_by(entry):
            command.resolve(entry)

    def leave_memo(self, command: Any, data: bytes) -> None:
        raise NotImplementedError

    def write_computed(self, command: Any, kind: EntryKind, send: Any) -> None:
        raise NotImplementedError

    def take_from_inbox(self, command: Any, kind: EntryKind, send: Any) -> bool:
        self.looked.append(kind)
        return True

    def read_end(self, name: str, then: Callable[[bytes | None], None]) -> None:
        then(self.ends.get(name))

    def note_inbox(self, inbox: int) -> None:
        raise NotImplementedError

    def wake(self) -> None:
        self.wakes += 1

    def lose_claim(self) -> None:
        self.is_lost = True

    def fail(self, error: Exception) -> None:
        self.failed.append(error)


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def advanced(command: Command, host: Host, now: float = 0.0) -> None:
    command.advance(host, now)
    for _ in range(3):
        await asyncio.sleep(0)
    command.is_busy = False


async def test_a_sleep_writes_when_it_is_due_and_then_that_it_is_over() -> None:
    host, command = Host(), SleepCommand("0", future(), 10.0)
    for now in (5.0, 14.9, 15.0):
        await advanced(command, host, now)
    assert host.written == [EntryKind.DUE, EntryKind.OVER]
    assert command.due_at == 15.0
    assert command.future.done()


async def test_a_signal_is_looked_for_once_each_time_something_may_have_come() -> None:
    host, command = Host(), SignalCommand("0", future(), ["go"], 10.0)
    for now in (0.0, 1.0, 2.0):
        await advanced(command, host, now)
    assert (host.written, host.looked) == ([EntryKind.DUE], [EntryKind.SIGNAL])
    host.inbox_version += 1
    for now in (3.0, 10.0):
        await advanced(command, host, now)
    assert host.looked == [EntryKind.SIGNAL] * 2
    assert host.written == [EntryKind.DUE, EntryKind.NONE]
    assert await command.future is None


async def test_a_step_is_tried_until_its_attempts_are_used_up() -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise RuntimeError("no")

    host, policy = Host(), RetryPolicy(2, initial=1.0)
    command = StepCommand("0", "fail", future(), fail_async(fail), policy=policy)
    await advanced(command, host, 0.0)
    assert host.written == [EntryKind.TRY]
    assert command.due_at is not None
    await advanced(command, host, command.due_at - 0.1)
    assert len(tries) == 1, "the second attempt is not due yet"
    await advanced(command, host, command.due_at)
    assert host.written == [EntryKind.TRY, EntryKind.ERROR]
    with pytest.raises(StepFailed, match="no"):
        await command.future


def fail_async(function: Callable[[], None]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def call() -> None:
        function()

    return call


async def test_what_an_abandoned_step_gives_is_not_written() -> None:
    async def act() -> int:
        return 1

    host, policy = Host(), RetryPolicy()
    command = StepCommand("0", "act", future(), act, policy=policy)
    command.advance(host, 0.0)
    command.abandon()
    for _ in range(3):
        await asyncio.sleep(0)
    assert host.written == []


async def test_the_end_of_a_child_is_looked_for_until_it_is_there() -> None:
    host, command = Host(), ChildCommand("0", "c", future(), "c1", is_ours=True)
    await advanced(command, host)
    assert host.written == []
    host.ends["c1"] = b"0|succeeded|" + pack(7)
    await advanced(command, host)
    assert host.written == [], "nothing says that anything came in"
    host.inbox_version += 1
    await advanced(command, host)
    assert host.written == [EntryKind.CHILD]
    assert await command.future == 7


async def test_the_child_of_another_run_that_has_not_ended_never_ends_here() -> None:
    host, command = Host(), ChildCommand("0", "c", future(), "c1", is_ours=False)
    await advanced(command, host)
    assert host.written == [EntryKind.CHILD]
    error = command.future.exception()
    assert error is not None
    assert "forked" in str(error)


async def act() -> int:
    await asyncio.sleep(0)
    return 1


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("is_dropped", [True, False])
async def test_an_attempt_that_is_left_at_any_turn_is_not_waited_for(
    turns: int, is_dropped: bool
) -> None:
    """Also one whose task never got to begin."""
    host, command = Host(), StepCommand("0", "act", future(), act, policy=RetryPolicy())
    command.advance(host, 0.0)
    for _ in range(turns):
        await asyncio.sleep(0)
    wrote = len(host.written)
    if is_dropped:
        command.future.cancel()
    command.give_up()
    command.give_up()
    for _ in range(4):
        await asyncio.sleep(0)
    assert (len(host.written), host.failed) == (wrote, [])
    assert command.task is None
    assert wrote or (host.wakes == 1 and not command.is_busy)


async def test_what_seeing_to_an_attempt_raises_ends_the_activation() -> None:
    """Asyncio would only log it, and the run would hang."""

    class Broken(Host):
        def write(self, *_: Any, **__: Any) -> None:
            raise LookupError("broken")

    host, command = Broken(), StepCommand("0", "act", future(), act, policy=RetryPolicy())
    await advanced(command, host)
    assert [type(error) for error in host.failed] == [LookupError]

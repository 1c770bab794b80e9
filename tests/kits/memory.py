"""
A runtime without a server: the journal and the mailbox in memory, a crash wherever a test wants
one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.breakers.breaker import FreePermits
from stepflow.core.cancel import CancelToken
from stepflow.core.children import ChildGroup
from stepflow.core.journal import EntryKind, start_entry
from stepflow.core.outcomes import ContinueAsNew, Outcome, Park
from stepflow.core.run import Cleanup, Run
from stepflow.engine.registry import is_async
from stepflow.engine.spec import RunSpec
from stepflow.errors import ClaimLost
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.replay.activation import Activation
from stepflow.kits.flow.step_options import Readers
from stepflow.logs import StepFacts
from stepflow.store.questions import QuestionOutcome
from stepflow.store.values.codec import pack, unpack
from stepflow.worker.threads import Threads


class Crash(BaseException):
    """The worker is gone."""


class MemoryScope:
    """Puts what is emitted, and what is void, into the output in memory."""

    def __init__(self, runtime: MemoryRuntime, name: str, attempt: int, step: str) -> None:
        self.runtime, self.output = runtime, runtime.output
        self.facts = StepFacts(runtime.run.id, runtime.run.runner, step, attempt)
        self.name, self.attempt = name, attempt
        self.has_emitted = self.is_over = False

    def emit(self, data: Any, topic: str) -> Awaitable[None]:
        del topic
        self.has_emitted = self.runtime.run.has_output = True
        self.output.append((self.name, data))
        return DONE

    def reset(self, attempt: int | None) -> None:
        del attempt
        self.output.append((self.name, RESET))

    def close(self) -> None:
        self.is_over = True

    async def end(self) -> None:
        self.close()


class _Done:
    """Is done when it is awaited, and need not be."""

    def __await__(self) -> Any:
        return asyncio.sleep(0).__await__()


DONE = _Done()
#: stands in the output where what a scope has said is void
RESET = object()


class MemoryRuntime:
    """What an activation needs of the runtime; survives activations as the record in Redis does."""

    limit = 1_000_000
    output_limit = 65_536
    stop_grace_s = 5.0
    #: with 0 seconds and 0 runs a workflow's time slice is over after each step
    slice_s = 1000.0
    runs_in_hand = 1
    permits = FreePermits()
    limits = None
    shared: Any = None
    budgets: Any = None
    family = "r.0"

    def __init__(self) -> None:
        self.journal: list[bytes] = []
        self.mail: list[bytes] = []
        self.inbox = 0
        #: how often an activation made room for others
        self.yielded = 0
        #: what is asked, by digest, and the answers not taken yet
        self.asks: dict[str, bytes] = {}
        self.replies: dict[str, bytes] = {}
        #: variables by session (None for the run's own) and name
        self.vars: dict[tuple[str | None, str], bytes] = {}
        #: what was emitted, each with its scope
        self.output: list[tuple[str | None, Any]] = []
        self.clock = 1_800_000_000.0
        self.threads = Threads()
        #: the number of writes after which the worker is gone before the reply arrives
        self.crash_after: int | None = None
        #: whether the run was asked to stop
        self.is_stopped = False
        self.run = Run("r", "w", created_at=self.clock)
        self.cancel = CancelToken()
        self.policy = RetryPolicy()
        self.on_inbox: Callable[[], None] | None = None
        self.on_let_go: Callable[[], None] | None = None
        self.attempts: Any = None
        self.is_waiting = False
        self.observers = None

    def now(self) -> float:
        self.clock += 0.001
        return self.clock

    def timeout(self, seconds: float | None) -> Any:
        return asyncio.timeout(seconds)

    @property
    def watch(self) -> MemoryRuntime:
        return self

    async def call(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        if is_async(function):
            return await function(*args, **kwargs)
        return await self.threads.run(lambda: function(*args, **kwargs))

    def go_live(self, so_far: Outcome | None) -> None:
        pass

    async def is_slot_wanted(self) -> bool:
        return True

    async def offload(self, data: bytes, what: str) -> bytes:
        raise AssertionError("there is no store for large values")

    def attempt_counter(self) -> Callable[[EntryKind, float], None]:
        return lambda kind, took_s: None

    def spread(self) -> float:
        return 0.5

    def _reply(self, value: Any) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: future.done() or future.set_result(value))
        return future

    def load_journal(self) -> asyncio.Future[list[bytes]]:
        return self._reply(list(self.journal))

    def add_entry(
        self, index: int, entry: bytes, cleanup: Cleanup | None = None, settling: Any = None
    ) -> asyncio.Future[int]:
        self.run.has_journal = True
        if cleanup is not None:
            self.run.cleanup = cleanup
        if self.crash_after is not None and len(self.journal) >= self.crash_after:
            return self._reply(0)
        assert index == len(self.journal)
        self.journal.append(entry)
        if self.crash_after is not None and len(self.journal) >= self.crash_after:
            return asyncio.get_running_loop().create_future() if False else self._reply(0)
        return self._reply(1)

    def output_scope(self, name: str, attempt: int, step: str) -> MemoryScope:
        return MemoryScope(self, name, attempt, step)

    def emit_entry(
        self, index: int, head: bytes, data: bytes, topic: str, most_bytes: int | None = None
    ) -> asyncio.Future[list[bytes]]:
        del topic, most_bytes
        self.run.has_journal = True
        if self.is_gone:
            return self._reply([])
        assert index == len(self.journal)
        self.output.append((None, unpack(data)))
        self.journal.append(head + b"1-%d" % len(self.output))
        return self._reply([] if self.is_gone else [b"1-%d" % len(self.output)])

    def touch_var(
        self,
        index: int,
        head: bytes,
        session: str | None,
        verb: str,
        name: str,
        args: Sequence[bytes],
    ) -> asyncio.Future[list[bytes]]:
        self.run.has_journal = True
        if self.is_gone:
            return self._reply([])
        assert index == len(self.journal)
        held = self.vars.get((session, name), b"")
        match verb:
            case "get":
                answer, value = held, held
            case "set":
                answer, value = b"", args[0]
            case "incr":
                value = b"%d" % (int(held or 0) + int(args[0])) if held[:1] != b"=" else held
                answer = value if held[:1] != b"=" else b"!"
            case _:
                answer, value = (b"1", args[1]) if held == args[0] else (b"0", held)
        self.vars[session, name] = value
        self.journal.append(head + answer)
        return self._reply([] if self.is_gone else [answer])

    def settle_question(
        self,
        index: int,
        head: bytes,
        digest: str,
        asked: bytes,
        prompt: bytes,
        lapsed: QuestionOutcome | None,
    ) -> asyncio.Future[Any]:
        del prompt
        self.run.has_journal = True
        if self.is_gone:
            return self._reply([])
        assert index == len(self.journal)
        if digest in self.replies:
            data = b"=" + self.replies.pop(digest)
        elif lapsed is not None:
            self.asks.pop(digest, None)
            data = b""
        else:
            self.asks.setdefault(digest, asked)
            return self._reply([b"%d" % self.inbox])
        self.journal.append(head + data)
        return self._reply([] if self.is_gone else [b"%d" % self.inbox, data])

    def close_questions(self, digests: Sequence[str], mark: QuestionOutcome) -> asyncio.Future[int]:
        del mark
        closed = () if self.is_gone else [self.asks.pop(each, None) for each in digests]
        return self._reply(sum(each is not None for each in closed))

    def answer(self, value: Any) -> None:
        """Answer the one thing that is asked."""
        [digest] = self.asks
        del self.asks[digest]
        self.replies[digest] = pack(value)
        self.inbox += 1

    @property
    def is_gone(self) -> bool:
        """Whether the worker is gone: so many writes were made as it was to live for."""
        return self.crash_after is not None and len(self.journal) >= self.crash_after

    def restart(self, outcome: ContinueAsNew) -> None:
        """Begin a new history, as the commit of a restart does."""
        self.journal = [start_entry(outcome.count, self.now(), self.run.step)]
        self.run.has_journal, self.run.cleanup = True, Cleanup.NONE

    def take_signal(self, index: int, head: bytes, names: tuple[str, ...]) -> asyncio.Future[Any]:
        self.run.has_journal = True
        if self.crash_after is not None and len(self.journal) >= self.crash_after:
            return self._reply([])
        assert index == len(self.journal)
        for item in self.mail:
            if item.split(b"|", 1)[0].decode() in names:
                self.mail.remove(item)
                self.journal.append(head + item)
                if self.crash_after is not None and len(self.journal) >= self.crash_after:
                    return self._reply([])
                return self._reply([b"%d" % self.inbox, item])
        return self._reply([b"%d" % self.inbox])


class FamilyRuntime(MemoryRuntime):
    """A runtime with children: made in memory, ended by the test."""

    def __init__(self) -> None:
        super().__init__()
        #: run id -> spec, in the order in which they were made
        self.children: dict[str, RunSpec] = {}
        self.answered: dict[str, bytes] = {}
        self.stopped: list[str] = []
        #: how often `spawn_children` was asked for a child that was there
        self.again = 0
        #: the number of children after which the worker is gone
        self.dies_after: int | None = None
        #: whether children that are asked to end by their map take their time
        self.slow = False

    async def spawn_children(
        self, specs: Sequence[RunSpec], *, abandon: bool = False, group: ChildGroup | None = None
    ) -> bool:
        await asyncio.sleep(0)
        for spec in specs:
            if self.dies_after is not None and len(self.children) >= self.dies_after:
                raise ClaimLost("gone")
            if group is not None and group.group_id in self.answered:
                return False
            self.again += str(spec.run_id) in self.children
            self.children.setdefault(str(spec.run_id), spec)
            self.run.has_children = True
        return True

    def load_ends(self, names: Sequence[str]) -> asyncio.Future[tuple[int, list[bytes | None]]]:
        return self._reply((self.inbox, [self.answered.get(name) for name in names]))

    async def child_state(self, run_id: str) -> str | None:
        await asyncio.sleep(0)
        if run_id not in self.answered:
            return "running" if run_id in self.children else None
        return self.answered[run_id].split(b"|")[1].decode()

    async def settle_group(self, group: ChildGroup) -> bytes | None:
        await asyncio.sleep(0)
        ends = [self.answered[child] for child in group.children() if child in self.answered]
        won = sum(b"|succeeded|" in end for end in ends)
        return self.answered.setdefault(group.group_id, b"%d|%d" % (won, len(ends) - won))

    async def stop_group(self, group: ChildGroup) -> list[str]:
        """Ask them to end; they do at once, unless they are *slow*."""
        await asyncio.sleep(0)
        left = [
            child
            for child in group.children()
            if child in self.children and child not in self.answered
        ]
        self.stopped += [child for child in left if child not in self.stopped]
        for child in left if not self.slow else ():
            self.end(child, error="stopped")
        return left

    async def stop_children(self) -> None:
        await asyncio.sleep(0)
        self.stopped += [child for child in self.children if child not in self.answered]

    async def count_children(self) -> tuple[int, int]:
        await asyncio.sleep(0)
        return self.inbox, sum(child not in self.answered for child in self.children)

    def end(self, run_id: str, value: Any = None, *, number: int = 0, error: str = "") -> None:
        """Have a child end, as the *number*-th of its kind."""
        told = b"failed|" + pack(["ValueError", error]) if error else b"succeeded|" + pack(value)
        self.answered[run_id] = f"{number}|".encode() + told
        self.inbox += 1


async def activate(
    runtime: MemoryRuntime, workflow: Any, *, policy: RetryPolicy | None = None
) -> Outcome:
    """Run one activation; raises ClaimLost where the worker is gone."""
    runtime.run.inbox = runtime.inbox
    runtime.cancel, runtime.policy = CancelToken(), policy or RetryPolicy()
    if runtime.is_stopped:
        runtime.cancel.fire("stop")
    activation = Activation(runtime)  # type: ignore[arg-type]  # without children, for most
    ctx = Context(activation, headers={}, readers=Readers())
    outcome = await activation.carry(lambda: workflow(ctx))
    if isinstance(outcome, Park):
        runtime.run.step += 1  # as its commit does
    return outcome


class World:
    """What steps do to the outside: counted."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def act(self, name: str, value: Any = None) -> Any:
        await asyncio.sleep(0)
        self.done.append(name)
        return value


async def to_the_end(runtime: MemoryRuntime, workflow: Any, **options: Any) -> Any:
    """
    Activate until the run ends, moving the clock over every wait and beginning anew at every
    restart.
    """
    while True:
        outcome = await activate(runtime, workflow, **options)
        if isinstance(outcome, ContinueAsNew):
            runtime.restart(outcome)
            continue
        if not isinstance(outcome, Park):
            return outcome
        if outcome.due_at is not None:
            runtime.clock = max(runtime.clock, outcome.due_at)
        elif outcome.inbox == runtime.inbox:
            return outcome

"""What a kit may do while a step runs: `kits.flow.runtime.FlowRuntime` says what each is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from stepflow.core.backoff import RetryPolicy
from stepflow.core.cancel import CancelToken
from stepflow.core.children import ChildGroup
from stepflow.core.journal import EntryKind
from stepflow.core.outcomes import Outcome
from stepflow.core.output import TOPIC
from stepflow.core.run import Cleanup
from stepflow.engine.children import spawn_children, stop_children, stop_group
from stepflow.engine.events.telemetry import Telemetry
from stepflow.engine.insist import insist
from stepflow.engine.spec import RunSpec
from stepflow.engine.status import state_of
from stepflow.engine.versions import Versions
from stepflow.store.calls import Plan
from stepflow.store.children import count_children, load_answers, load_inbox, settle_map
from stepflow.store.connection.async_ import carry_out
from stepflow.store.events.output import emit_entry
from stepflow.store.journal import add_entry, load_journal, take_signal
from stepflow.store.query import list_length
from stepflow.store.questions import QuestionOutcome, close_questions, settle_question
from stepflow.store.runs import load_run
from stepflow.store.values import offloaded
from stepflow.store.variables import touch_var
from stepflow.worker.claimed_run import InboxWatch
from stepflow.worker.events.writer import bounds_of
from stepflow.worker.runtime.runner_side import RunnerSide

if TYPE_CHECKING:
    from stepflow.core.budgets.cost import Cost
    from stepflow.engine.observing.observers import Observers
    from stepflow.store.budgets.spending import Reservation
    from stepflow.worker.runtime.budgets import ClaimBudgets

T = TypeVar("T")


class StepRuntime(RunnerSide):
    """What runners and kits may do while a step runs."""

    __slots__ = ()

    def emit_entry(
        self, index: int, head: bytes, data: bytes, topic: str, most_bytes: int | None = None
    ) -> asyncio.Future[list[bytes]]:
        """Add an item to the run's output and remember it as entry *index*, in one write."""
        claimed = self._claimed
        claimed.run.has_journal = True
        call = emit_entry(
            self._keys, claimed.run.id, self._token, index, head,
            rev=claimed.claim_rev, data=data, topic="" if topic == TOPIC else topic,
            bounds=bounds_of(self._env, most_bytes),
        )  # fmt: skip
        return self._connection.send(call)

    @property
    def observers(self) -> Observers | None:
        """The observers of the app."""
        return self._worker_state.observers

    @property
    def cancel(self) -> CancelToken:
        """Fires when the run was asked to stop, or its claim is lost."""
        return self._claimed.cancel

    @property
    def policy(self) -> RetryPolicy:
        """How often the step is tried."""
        return self._claimed.policy

    @property
    def watch(self) -> InboxWatch:
        """What the worker is told of the activation, and tells it."""
        return self._claimed.inbox_watch

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """Limit an `async with` block to so many seconds of the clock that `now` reads."""
        return self._env.clock.timeout(seconds)

    def call(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Coroutine[Any, Any, Any]:
        """Call the function of the step *name*, on the loop or in a thread."""
        state = self._worker_state
        if state.calls_plainly:  # each step passes here
            return state.call_function(
                self._claimed.run.id, name, function, args, kwargs, state.threads
            )
        return state.call(self._claimed.run.id, name, function, args, kwargs)

    def go_live(self, so_far: Outcome | None) -> None:
        """
        Learn that all that was remembered has been handed over.

        *so_far* is the end, if that led to one. A worker need not know.
        """

    def attempt_counter(self) -> Callable[[EntryKind, float], None]:
        """Return what counts an attempt of a step of the workflow."""
        return self._worker_state.counters.attempts_of(self._claimed.run.runner).note_attempt

    def spread(self) -> float:
        """Return a random number in [0, 1) for the wait before a retry."""
        return self._env.rng.random()

    @property
    def stop_grace_s(self) -> float:
        """Seconds that a run which was asked to stop is given."""
        return self._env.settings.worker.stop_grace_s

    @property
    def limit(self) -> int:
        """The most bytes that a packed value may have."""
        return self._env.settings.limits.payload_bytes

    @property
    def slice_s(self) -> float:
        """Seconds a worker may keep going with one run while others wait."""
        return self._env.settings.worker.slice_s

    @property
    def runs_in_hand(self) -> int:
        """How many runs share the worker."""
        return len(self._worker_state.runs)

    async def is_slot_wanted(self) -> bool:
        """Say whether others wait for the run's slot, or its worker is not to keep any run."""
        worker_state = self._worker_state
        if worker_state.must_let_go or self._claimed.must_let_go:
            return True
        lengths: list[int] = await self._connection.calls(
            [list_length(name) for name in worker_state.competing_lists(self._claimed.run)]
        )
        return any(lengths)

    def load_journal(self) -> asyncio.Future[list[bytes]]:
        """Read the run's journal."""
        sent = self._connection.send(load_journal(self._keys, self._claimed.run.id))
        telemetry = self._worker_state.registry.telemetry
        if telemetry is not None:
            sent.add_done_callback(partial(_note_history, telemetry))
        if offloaded.in_use is not None:
            from stepflow.worker.runtime.offloading import read_journal  # noqa: PLC0415  few have any

            return asyncio.ensure_future(read_journal(self._claimed, sent, self._worker_state))
        return sent

    async def offload(self, data: bytes, what: str) -> bytes:
        """
        Have the store for large values take a packed value; gives what leads to it, packed.

        While the store is away it is tried again. Raises ClaimLost.
        """
        from stepflow.worker.runtime.offloading import write_value  # noqa: PLC0415  few have any

        attempt = self._claimed.attempt
        reference = await write_value(
            self._claimed, data, what, self._worker_state, is_over=lambda: not attempt.in_runner
        )
        return reference.write()

    @property
    def budgets(self) -> ClaimBudgets:
        """What reserves in budgets, and settles."""
        from stepflow.worker.runtime.budgets import ClaimBudgets  # noqa: PLC0415  wanted by few

        return ClaimBudgets(self._claimed.run, self._token, self._env, self._connection, self.waits)

    @property
    def family(self) -> str:
        """The run that the run descends from, itself where it is no child."""
        return self._claimed.options.family_of(self._claimed.run)

    def add_entry(
        self,
        index: int,
        entry: bytes,
        cleanup: Cleanup | None = None,
        settling: tuple[Reservation, Cost | None] | None = None,
    ) -> asyncio.Future[int]:
        """
        Write entry *index*, the cleanup that is due from then on, and what it settles.

        Answers 0 when it was refused.
        """
        run = self._claimed.run
        run.has_journal, run.crashes = True, 0
        if cleanup is not None:
            run.cleanup = cleanup
        call, limits = None, self._limits
        if settling is not None:
            call = self.budgets.settling(*settling, index, entry, cleanup)
        elif limits is not None:
            call = limits.entry(index, entry, cleanup)
        sent = self._connection.send(
            call or add_entry(self._keys, run.id, self._token, index, entry, cleanup)
        )
        if limits is not None:
            limits.follow(index, sent)
        if self._worker_state.listeners is None:  # each step passes here
            return sent
        return self._listened(sent, lambda reply: entry if reply else None)

    def take_signal(self, index: int, head: bytes, names: Sequence[str]) -> asyncio.Future[Any]:
        """Take a signal and remember it as entry *index*, in one write."""
        self._claimed.run.has_journal = True
        call = take_signal(self._keys, self._claimed.run.id, self._token, index, head, names)
        return self._listened(self._connection.send(call), partial(_found, head))

    async def spawn_children(
        self, specs: Sequence[RunSpec], *, abandon: bool = False, group: ChildGroup | None = None
    ) -> bool:
        """Make children of the run; see `engine.children.spawn_children`."""
        telemetry = self._worker_state.registry.telemetry
        if telemetry is None:
            is_made = await self._spawn(specs, abandon=abandon, group=group)
        else:
            with telemetry.trace_submit(specs) as sending:
                is_made = await self._spawn(sending.specs, abandon=abandon, group=group)
        if self.observers is not None and is_made:
            self.observers.submitted(((spec, str(spec.run_id)) for spec in specs), is_child=True)
        return is_made

    async def _spawn(
        self, specs: Sequence[RunSpec], *, abandon: bool, group: ChildGroup | None
    ) -> bool:
        if offloaded.in_use is not None:
            from stepflow.worker.runtime.offloading import offload_payloads  # noqa: PLC0415  as above

            specs = await offload_payloads(self._claimed, specs, self._worker_state)
        registry = self._worker_state.registry
        versions = Versions(registry.newest, registry.limited)
        parent = self._claimed.options.parent
        depth = 1 if parent is None else parent.depth + 1
        return await self._insist(
            lambda: spawn_children(
                specs,
                self._claimed.run,
                self._token,
                self._env,
                depth=depth,
                family="" if parent is None else self.family,
                versions=versions,
                abandon=abandon,
                group=group,
            ),
            "make children",
        )

    async def load_ends(self, names: Sequence[str]) -> tuple[int, list[bytes | None]]:
        """
        Read how much was ever put into the run's inbox, and how these children and maps ended.

        None for each that has not.
        """
        keys, run = self._keys, self._claimed.run
        inbox, ends = await asyncio.gather(
            self._connection.send(load_inbox(keys, run.id)),
            self._connection.send(load_answers(keys, run, names)),
        )
        if offloaded.in_use is not None:
            from stepflow.worker.runtime.offloading import read_ends  # noqa: PLC0415  few have any

            await read_ends(self._claimed, filter(None, ends), self._worker_state)
        return inbox, ends

    async def child_state(self, run_id: str) -> str | None:
        """Read the state of a child as it is now; None when its record is gone."""
        child = await self._connection.call(load_run(self._keys, run_id))
        return None if child is None else state_of(child).value

    async def stop_children(self) -> None:
        """Ask the children that end with the run to end."""
        run = self._claimed.run
        await self._insist(
            lambda: stop_children(run.id, run.generation, self._env),
            "stop its children",
        )

    async def count_children(self) -> tuple[int, int]:
        """
        Read how much was ever put into the run's inbox, and how many of its children live.

        Only those count that end with the run.
        """
        keys, run = self._keys, self._claimed.run
        return await asyncio.gather(
            self._connection.send(load_inbox(keys, run.id)),
            self._connection.send(count_children(keys, run)),
        )

    async def settle_group(self, group: ChildGroup) -> bytes | None:
        """Settle a map whose time is up, unless it is settled already."""
        call = settle_map(self._keys, self._claimed.run, self._token, group.group_id)
        return await self._write(call, "settle its map")

    async def stop_group(self, group: ChildGroup) -> list[str]:
        """Ask those children of a settled map to end that have not."""
        return await self._insist(
            lambda: stop_group(group, self._claimed.run, self._env),
            "stop its children",
        )

    def touch_var(
        self,
        index: int,
        head: bytes,
        session: str | None,
        verb: str,
        name: str,
        args: Sequence[bytes],
    ) -> asyncio.Future[list[bytes]]:
        """Read or change a variable and remember the answer as entry *index*, in one write."""
        self._claimed.run.has_journal = True
        call = touch_var(
            self._keys, self._claimed.run.id, self._token, index, head,
            session=session, verb=verb, name=name, args=args,
            ttl_s=self._env.settings.retention.session_s,
        )  # fmt: skip
        return self._connection.send(call)

    def settle_question(
        self,
        index: int,
        head: bytes,
        digest: str,
        asked: bytes,
        prompt: bytes,
        lapsed: QuestionOutcome | None,
    ) -> asyncio.Future[Any]:
        """Look for the answer to a question and remember it as entry *index*, in one write."""
        self._claimed.run.has_journal = True
        call = settle_question(
            self._keys, self._claimed.run.id, self._token, index, head,
            digest=digest, asked=asked, prompt=prompt, now=self.now(), lapsed=lapsed,
        )  # fmt: skip
        return self._listened(self._connection.send(call), partial(_found, head))

    def close_questions(self, digests: Sequence[str], mark: QuestionOutcome) -> asyncio.Future[int]:
        """Take questions off the list that nobody waits for any more."""
        call = close_questions(
            self._keys, self._claimed.run.id, self._token, digests=digests, mark=mark
        )
        return asyncio.ensure_future(self._write(call, "take back what it asked"))

    def _listened(
        self, sent: asyncio.Future[T], entry_in: Callable[[T], bytes | None]
    ) -> asyncio.Future[T]:
        """Tell listeners, if there are any, of the entry that a reply says was written."""
        listeners, run = self._worker_state.listeners, self._claimed.run
        if listeners is None:
            return sent

        def tell(done: asyncio.Future[T]) -> None:
            if not done.cancelled() and done.exception() is None:
                entry = entry_in(done.result())
                if entry is not None:
                    listeners.note_entry(run, entry)

        sent.add_done_callback(tell)
        return sent

    def _insist(self, plan: Callable[[], Plan[T]], what: str) -> Coroutine[Any, Any, T]:
        """Carry out a plan that is safe to repeat, however long Redis refuses to write."""
        return insist(
            lambda: carry_out(self._connection, plan()),
            f"run={self._claimed.run.id} cannot {what}",
        )


def _note_history(telemetry: Telemetry, loaded: asyncio.Future[list[bytes]]) -> None:
    if not loaded.cancelled() and loaded.exception() is None:
        telemetry.note_history(len(loaded.result()))


def _found(head: bytes, reply: Sequence[bytes]) -> bytes | None:
    """Give the entry that a take has written, by its reply: [inbox, data], or less."""
    return head + reply[1] if len(reply) > 1 else None

"""notify: the hooks of finished runs are delivered, retried, and dead after their last try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from stepflow.core import probes
from stepflow.core.counts import HookCount
from stepflow.core.ids import hook_member
from stepflow.core.run import RunOutcome
from stepflow.core.verdict import Verdict, VerdictKind
from stepflow.engine.children import stop_children
from stepflow.engine.env import Env
from stepflow.engine.events.telemetry import HookFacts, Telemetry
from stepflow.engine.gate import bury, one_by_one
from stepflow.engine.hooks.ended import note_of_outcome
from stepflow.engine.insist import insist
from stepflow.engine.outbox import (
    APP_WEBHOOK,
    ARCHIVE,
    BULK,
    CHILDREN,
    FUNCTION,
    NO_TRACE,
    REFUSED,
    RUN_WEBHOOK,
    read_outcome,
    read_target,
    read_trace,
)
from stepflow.engine.registry import Registry
from stepflow.engine.steering.carry_bulk import carry_on
from stepflow.engine.user_code.calls import passes
from stepflow.errors import StepflowError, UnreadableValue
from stepflow.hooks.given import host_of, with_headers
from stepflow.hooks.webhook import Webhook
from stepflow.store.calls import Call, Part
from stepflow.store.claims import ClaimedDelivery
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.hooks import (
    DEAD,
    DELIVERED,
    PENDING,
    HookRecord,
    commit_hook,
    read_hook,
    rq_id_of,
)
from stepflow.store.runs.to_archive import leave_end
from stepflow.store.values import offloaded
from stepflow.worker.claimed_run import hook_id_of
from stepflow.worker.counting.counters import Counters
from stepflow.worker.fetcher import Slots
from stepflow.worker.hooks.functions import HookFunctions, left_by
from stepflow.worker.threads import Threads

log = logging.getLogger("stepflow.hook")

#: seconds that a worker stays with a bulk
BULK_SLICE_S = 1.0
#: seconds until a delivery for the archive comes again that this worker can do nothing with
NO_ARCHIVE_S = 30.0

#: delivers one webhook, given as it is or in its stored form, with the hook id and the outcome
Deliver = Callable[[Mapping[str, Any] | Webhook, str, RunOutcome], Awaitable[Verdict]]
#: says how many seconds to wait after so many tries, given a random number and what the receiver
#: asked for; None for no further try
NextWait = Callable[[int, float, float | None], float | None]


class Notifier:
    """Delivers claimed hooks in slots of their own, apart from the slots for steps."""

    def __init__(
        self,
        env: Env,
        connection: AsyncCaller,
        registry: Registry,
        *,
        deliver: Deliver,
        next_wait: NextWait,
        threads: Threads,
        counters: Counters,
        on_due: Callable[[float | None], None],
    ) -> None:
        self._env = env
        self._connection = connection
        self._registry = registry
        self._deliver = deliver
        self._next_wait = next_wait
        self._threads = threads
        self._counters = counters
        self._on_due = on_due
        self.slots = Slots(env.settings.worker.hook_slots)
        self._in_progress: dict[str, tuple[HookRecord, asyncio.Task[None]]] = {}
        self._functions = HookFunctions(env, connection, registry, threads)
        self._is_over = False
        #: what confirms the ends of runs whose runner has chosen a durability, by its name
        self.confirming: Mapping[str, AsyncCaller] = {}

    def claims(self) -> list[tuple[str, str]]:
        """List (member, token) of every delivery in progress, for the renewing thread."""
        return [
            (hook_member(record.id), record.token) for record, _ in list(self._in_progress.values())
        ]

    def start(self, taken: ClaimedDelivery) -> None:
        """Begin with a claimed delivery, in a slot of its own."""
        record = read_hook(hook_id_of(taken, self._env.keys), taken.row)
        work = (
            self._carry(record) if taken.token and not record.damage else self._end_damaged(record)
        )
        self.slots.take()
        task = asyncio.get_running_loop().create_task(work)
        self._in_progress[record.id] = (record, task)

    def has_claimed(self, hook_id: str) -> bool:
        """Say whether this delivery is in progress here."""
        return hook_id in self._in_progress

    async def leave(self, grace_s: float) -> None:
        """Wait for deliveries in progress, at most *grace_s*; the rest is left to recovery."""
        tasks = [task for _, task in self._in_progress.values()]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace_s)
        self._is_over = self._functions.is_over = True
        for task in late:
            task.cancel()
        if late:  # one that will not be cancelled keeps nobody
            await asyncio.wait(late, timeout=1.0)

    async def _end_damaged(self, record: HookRecord) -> None:
        """End as dead a delivery whose record cannot be read."""
        try:
            with one_by_one(f"hook={record.id}"):
                if record.damage:
                    await carry_out(self._connection, bury(record, self._env))
        finally:
            self._in_progress.pop(record.id, None)
            self.slots.give_back()

    async def _carry(self, record: HookRecord) -> None:
        """
        Make one try and settle it.

        Safe to repeat: the receiver knows a second arrival by the hook id.
        """
        try:
            if self.confirming and record.runner in self.confirming:
                from stepflow.store.durability.async_ import confirm  # noqa: PLC0415  as above

                await confirm(self.confirming[record.runner])
            try:
                verdict = await self._try(record)
            except GeneratorExit as error:  # as in worker/drive.py
                if passes(error):
                    raise
                verdict = left_by(error)
            probes.at("notify.sent")
            await self._settle(record, verdict)
            probes.at("notify.done")
        except StepflowError as error:
            log.warning(
                "hook=%s could not be settled: %s; it is tried again when its claim lapses",
                record.id,
                error,
            )
        except Exception:
            log.exception(
                "hook=%s: the runtime itself failed; it is tried again when its claim lapses",
                record.id,
            )
        finally:
            self._in_progress.pop(record.id, None)
            self.slots.give_back()

    async def _try(self, record: HookRecord) -> Verdict:
        try:
            kind, what = read_target(record.target)
            if offloaded.in_use is not None and kind not in (BULK, CHILDREN):
                outcome = await self._threads.run(read_outcome, record.body)
            else:
                outcome = read_outcome(record.body) if kind not in (BULK, CHILDREN) else None
        except UnreadableValue as error:
            return Verdict.dead(f"its record cannot be read: {error}")
        if kind == BULK:
            return await self._carry_bulk(what)
        if outcome is None:
            await insist(
                lambda: carry_out(self._connection, stop_children(record.run_id, what, self._env)),
                f"hook={record.id} cannot stop the children of run {record.run_id}",
            )
            return Verdict.delivered()
        if kind == ARCHIVE:
            return await self._archive(outcome, is_refused=what == REFUSED)
        if self._registry.telemetry is None:
            return await self._tell(kind, what, record, outcome)
        return await self._tell_traced(kind, what, record, outcome, self._registry.telemetry)

    async def _tell(
        self,
        kind: str,
        what: Any,
        record: HookRecord,
        outcome: RunOutcome,
        trace: Mapping[str, str] = NO_TRACE,
    ) -> Verdict:
        """Tell a function or a webhook of an end; a webhook gets *trace* as headers."""
        if kind == FUNCTION:
            return await self._functions.call(what, record, outcome)
        if kind == APP_WEBHOOK:
            if what not in self._registry.webhooks:
                return Verdict.dead(f"this app has no webhook {what!r} any more")
            what = self._registry.webhooks[what]
        return await self._deliver(with_headers(what, trace), record.id, outcome)

    async def _archive(self, outcome: RunOutcome, *, is_refused: bool) -> Verdict:
        """Note an end for the archive; try one again that the archive has refused."""
        env, settings = self._env, self._registry.archive
        if not is_refused:
            note, ended_at = note_of_outcome(outcome), outcome.ended_at
            at = env.clock.now() if ended_at is None else ended_at.timestamp()
            await self._connection.call(leave_end(env.keys, note, ended_at=at))
            return Verdict.delivered()
        if settings is None:  # a stock RQ worker took it, or the app has none any more
            return Verdict.busy(NO_ARCHIVE_S, "the app of this worker has no archive")
        from stepflow.worker.archiving.refused import try_refused  # noqa: PLC0415  few have any

        return await try_refused(outcome, env, self._connection, settings, self._threads)

    async def _tell_traced(
        self, kind: str, what: Any, record: HookRecord, outcome: RunOutcome, telemetry: Telemetry
    ) -> Verdict:
        facts = HookFacts(
            record.id, record.run_id, outcome.runner,
            host_of(what) if kind == RUN_WEBHOOK else str(what),
            is_webhook=kind != FUNCTION, attempt=record.tries + 1,
            trace=read_trace(record.body) or outcome.headers,
        )  # fmt: skip
        with telemetry.trace_hook(facts) as delivery:
            verdict = await self._tell(kind, what, record, outcome, delivery.trace)
            delivery.note_verdict(verdict)
            return verdict

    async def _carry_bulk(self, bulk_id: str) -> Verdict:
        """Carry a bulk on for a slice, after which its delivery comes again, to whomever."""
        loop = asyncio.get_running_loop()
        until = loop.time() + BULK_SLICE_S
        while True:
            wait_s = await carry_out(self._connection, carry_on(bulk_id, self._env))
            if wait_s is None:
                return Verdict.delivered()
            if self._is_over or loop.time() + wait_s >= until:
                return Verdict.busy(wait_s, "it goes on")
            await asyncio.sleep(wait_s)

    async def _settle(self, record: HookRecord, verdict: Verdict) -> None:
        """
        Write what became of the try, with what the hook has written.

        A retry goes into the due set, for it must outlive this worker.
        """
        own = self._functions.written.pop(record.id, None)
        if own is not None and verdict.kind is VerdictKind.DELIVERED:
            fields = self._fields(record, verdict, record.tries + 1)
            problem = await own.settle(record, (*fields, "due", "", "state", DELIVERED))
            if problem is None:
                self._count(verdict, None)
                return
            verdict = Verdict.retry(problem)
        now = self._env.clock.now()
        tries = record.tries + (verdict.kind is not VerdictKind.BUSY)
        wait_s = None
        if verdict.kind is VerdictKind.RETRY:
            wait_s = self._next_wait(tries, self._env.rng.random(), verdict.after_s)
        elif verdict.kind is VerdictKind.BUSY:
            wait_s = verdict.after_s
        call = self._settlement(record, verdict, tries=tries, wait_s=wait_s, now=now)
        written = await insist(
            lambda: self._connection.call(call), f"hook={record.id} cannot be settled"
        )
        if written and wait_s is not None:
            self._on_due(now + wait_s)
        if not _is_our_own(record):
            self._count(verdict, wait_s)

    @staticmethod
    def _fields(record: HookRecord, verdict: Verdict, tries: int) -> list[Part]:
        """Give the fields that every settlement writes."""
        rev = record.rev + 1
        return ["rev", rev, "tries", tries, "problem", verdict.why, "claimed_id", ""]

    def _count(self, verdict: Verdict, wait_s: float | None) -> None:
        """Count a try of a delivery; one that was put off was none."""
        if verdict.kind is VerdictKind.DELIVERED:
            self._counters.note_hook(HookCount.DELIVERED)
        elif verdict.kind is not VerdictKind.BUSY:
            end = HookCount.DEAD if wait_s is None else HookCount.RETRIED
            self._counters.note_hook(end)

    def _settlement(
        self,
        record: HookRecord,
        verdict: Verdict,
        *,
        tries: int,
        wait_s: float | None,
        now: float,
    ) -> Call[int]:
        """Make the call that settles a try, and log what happens next unless it was delivered."""
        keys, retention = self._env.keys, self._env.settings.retention
        rev = record.rev + 1
        fields = self._fields(record, verdict, tries)
        if verdict.kind is VerdictKind.DELIVERED:
            fields += ("due", "", "state", DELIVERED)
            return commit_hook(keys, record, fields=fields, ttl_s=retention.delivered_s)
        if wait_s is None:
            log.error(
                "hook=%s of run=%s is dead after %s tries: %s%s",
                record.id,
                record.run_id,
                tries,
                verdict.why,
                f"\n{verdict.trace.rstrip()}" if verdict.trace else "",
            )
            fields += ("due", "", "state", DEAD)
            return commit_hook(keys, record, fields=fields, ttl_s=retention.hook_s, died_at=now)
        if verdict.kind is VerdictKind.RETRY:
            log.warning(
                "hook=%s of run=%s not delivered (%s); try %s in %.3g s",
                record.id,
                record.run_id,
                verdict.why,
                tries + 1,
                wait_s,
            )
        due_at = now + wait_s
        fields += ("due", f"{due_at:.6f}", "state", PENDING)
        fields += ("delivery", rq_id_of(keys, record.id, rev))
        return commit_hook(keys, record, fields=fields, due_at=due_at)


def _is_our_own(record: HookRecord) -> bool:
    """Whether a delivery carries out something of the runtime's, and is no hook of an app."""
    try:
        return read_target(record.target)[0] in (ARCHIVE, BULK, CHILDREN)
    except UnreadableValue:
        return False

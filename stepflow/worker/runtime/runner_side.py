"""What a runner may do while its step runs: memos, emits, and more time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from stepflow.core.run import Run
from stepflow.engine.insist import insist
from stepflow.errors import ClaimLost
from stepflow.store.calls import Call
from stepflow.store.claims import extend_claim, load_memo, put_memo
from stepflow.store.values.codec import pack, unpack
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.events.writer import OutputWriter, Scope
from stepflow.worker.state import WorkerState

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Permits
    from stepflow.worker.runtime.limits import ClaimLimits
    from stepflow.worker.runtime.shared import ClaimShared
    from stepflow.worker.runtime.waits import ClaimWaits

T = TypeVar("T")

#: several threads of one run may emit first
_making_writer = threading.Lock()


class RunnerSide:
    """
    Reads and writes for one attempt of one step.

    Every write is made under the claim the attempt began with, so what a thread left behind writes
    later is refused. *blocking* says that a thread asks: answers are values then, not awaitables.
    """

    __slots__ = (
        "_claimed",
        "_connection",
        "_env",
        "_keys",
        "_limits",
        "_memo",
        "_number",
        "_scope",
        "_token",
        "_waits",
        "_worker_state",
        "blocking",
        "now",
    )

    def __init__(self, claimed: ClaimedRun, worker_state: WorkerState, *, blocking: bool) -> None:
        self.blocking = blocking
        self._claimed = claimed
        self._worker_state = worker_state
        self._env = worker_state.env
        self._keys = worker_state.env.keys
        self._connection = claimed.connection or worker_state.connection
        self._token = claimed.run.token
        self._number = claimed.run.step
        self._memo: dict[str, Any] | None = None
        self._scope: Scope | None = None
        self._limits: ClaimLimits | None = None
        #: returns the server's unix time in seconds
        self.now: Callable[[], float] = worker_state.env.clock.now

    def memo_get(self, key: str, default: Any) -> Any:
        """Return a memo value, or an awaitable of it."""
        return self._either(self._get(key, default))

    def memo_put(self, key: str, value: Any) -> Any:
        """Write a memo value; None or an awaitable."""
        return self._either(self._put(key, value))

    def extend(self, seconds_: float) -> Any:
        """Keep the claim at least that long; None or an awaitable."""
        return self._either(self._extend(seconds_))

    def emit(self, data: Any, topic: str) -> Awaitable[None]:
        """Add an item to the run's output."""
        return self._own_scope().emit(data, topic)

    def reset_output(self) -> None:
        """Declare void what earlier attempts of the step have emitted."""
        scope = self._own_scope()
        scope.reset(scope.attempt)

    def _own_scope(self) -> Scope:
        if self._scope is None:
            name = str(self._number)
            self._scope = self.output_scope(name, self._claimed.run.failures + 1, name)
        return self._scope

    @property
    def run(self) -> Run:
        """The claimed run."""
        return self._claimed.run

    @property
    def output_limit(self) -> int:
        """The most bytes that a packed item of the output may have."""
        return self._env.settings.limits.output_item_bytes

    def output_scope(self, name: str, attempt: int, step: str) -> Scope:
        """Make where the emits of one attempt of a `ctx.step` lead."""
        return Scope(self, name, attempt, step)

    @property
    def permits(self) -> Permits:
        """What gives permits of circuit breakers."""
        from stepflow.worker.runtime.permits import ClaimPermits  # noqa: PLC0415  wanted by few

        state = self._worker_state
        return ClaimPermits(
            self._claimed.run, self._token, self._env, self._connection, state.loop,
            state.loop_thread, self.waits,
        )  # fmt: skip

    @property
    def shared(self) -> ClaimShared:
        """What has the values that runs share."""
        from stepflow.worker.runtime.shared import ClaimShared  # noqa: PLC0415  wanted by few

        return ClaimShared(self._claimed.run, self._token, self._env, self._connection, self.waits)

    @property
    def waits(self) -> ClaimWaits:
        """What knows which of its steps wait for what other runs do."""
        from stepflow.worker.runtime.waits import ClaimWaits  # noqa: PLC0415  wanted by few

        made: ClaimWaits | None = getattr(self, "_waits", None)
        if made is None:
            made = ClaimWaits(self._claimed.run, self._token, self._env, self._connection)
            self._waits = made
        return made

    @property
    def limits(self) -> ClaimLimits:
        """What gives slots of limits to its steps."""
        if self._limits is None:
            from stepflow.worker.runtime.limits import ClaimLimits  # noqa: PLC0415  wanted by few

            self._limits = ClaimLimits(self._claimed.run, self._token, self._env, self._connection)
            self._worker_state.has_met_limits = True
        return self._limits

    def shared_get(self, key: str, default: Any) -> Any:
        """Return a value that runs share, or an awaitable of it."""
        return self._either(self.shared.get(key, default))

    def shared_put(self, key: str, value: Any, lasts_s: float) -> Any:
        """Write a value for all runs; None or an awaitable."""
        return self._either(self.shared.write(key, value, lasts_s))

    def shared_compute(
        self, key: str, lasts_s: float, function: Callable[..., Any], args: Sequence[Any]
    ) -> Any:
        """Return such a value, or compute it where no run does."""
        run_id, state = self._claimed.run.id, self._worker_state
        return self._either(
            self.shared.compute(key, lasts_s, lambda: state.call(run_id, key, function, args, {}))
        )

    def output_writer(self) -> OutputWriter:
        """Give the writer of what the claimed run emits, made at first use."""
        claimed = self._claimed
        with _making_writer:
            if claimed.output is None:
                claimed.output = OutputWriter(
                    claimed.run.id, self._token, claimed.claim_rev, self._env, self._connection,
                    self._worker_state.loop, self._worker_state.loop_thread,
                )  # fmt: skip
        claimed.run.has_output = True
        return claimed.output

    def _write(self, call: Call[T], what: str) -> Coroutine[Any, Any, T]:
        """
        Carry out a write, however long Redis refuses it.

        Its script recognizes a second arrival of the same call.
        """
        return insist(
            lambda: self._connection.call(call), f"run={self._claimed.run.id} cannot {what}"
        )

    def _either(self, work: Coroutine[Any, Any, Any]) -> Any:
        if not self.blocking:
            return work
        return asyncio.run_coroutine_threadsafe(work, self._worker_state.loop).result()

    async def _load(self) -> dict[str, Any]:
        if self._memo is None:
            packed = await self._connection.call(load_memo(self._keys, self._claimed.run.id))
            mine = f"{self._number}."
            self._memo = {
                name.decode().removeprefix(mine): unpack(value)
                for name, value in packed.items()
                if name.decode().startswith(mine)
            }
        return self._memo

    async def _get(self, key: str, default: Any) -> Any:
        return (await self._load()).get(key, default)

    async def _put(self, key: str, value: Any) -> None:
        limit = self._env.settings.limits.payload_bytes
        packed = pack(value, what=f"memo {key!r}", limit=limit)
        memo = await self._load()
        call = put_memo(
            self._keys,
            self._claimed.run.id,
            self._token,
            self._number,
            f"{self._number}.{key}",
            packed,
        )
        if not await self._write(call, f"write memo {key!r}"):
            raise self._lost(f"memo {key!r} not written")
        self._claimed.run.crashes = 0
        memo[key] = unpack(packed)

    async def _extend(self, seconds_: float) -> None:
        claimed = self._claimed
        call = extend_claim(
            self._keys, claimed.member, self._token, seconds_, given=self._env.clock.given
        )
        if not await self._write(call, "extend its claim"):
            raise self._lost("nothing to extend")
        until = self._worker_state.loop.time() + seconds_
        # a task that an earlier step left behind may extend: what counts is the present attempt
        attempt = claimed.attempt
        attempt.extended_until = max(attempt.extended_until, until)
        if attempt.step_until:
            attempt.step_until = max(attempt.step_until, until)

    def _lost(self, what: str) -> ClaimLost:
        where = f"run {self._claimed.run.id!r} step {self._number}"
        return ClaimLost(f"{where} is held by another worker; {what}")

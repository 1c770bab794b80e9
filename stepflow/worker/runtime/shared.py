"""Values that runs share, for the steps of one claimed run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.engine.insist import insist
from stepflow.errors import Postponed
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.shared.values import (
    Computing,
    claim_shared,
    load_shared,
    settle_shared,
    waiting_key,
    waits_for,
)
from stepflow.store.values.codec import pack, unpack
from stepflow.store.values.digest import digest
from stepflow.worker.runtime.ask import ask, tell
from stepflow.worker.runtime.waits import ClaimWaits

log = logging.getLogger("stepflow.run")

#: the name of the values that runners share by a key
MEMO = "memo"


class Claimed:
    """The right to compute a value: give it what was computed, or give the right back."""

    __slots__ = ("_claim", "_digest", "_name", "_of")

    def __init__(self, of: ClaimShared, name: str, digest: str, claim: str) -> None:
        self._of, self._name, self._digest, self._claim = of, name, digest, claim

    def keep(self, packed: bytes, lasts_s: float, label: str = "") -> None:
        """Write the value; sent at once, and not waited for."""
        self._of.settle(self._name, self._digest, self._claim, packed, lasts_s, label)

    def give_back(self) -> None:
        """Let another compute it."""
        self._of.settle(self._name, self._digest, self._claim, b"", 0.0, "")


class ClaimShared:
    """
    Reads and computes shared values under the claim that *token* is of.

    The right to compute one belongs to that claim, and ends with it.
    """

    def __init__(
        self, run: Run, token: str, env: Env, connection: AsyncCaller, waits: ClaimWaits
    ) -> None:
        self._run = run
        self._token = token
        self._env = env
        self._connection = connection
        self._waits = waits

    async def claim(self, name: str, digest: str, step: str = "") -> bytes | Claimed:
        """
        Get a value, packed, or the right to compute it.

        Raises Postponed while another run computes it. A *step* of a workflow that nobody wants
        any more waits no longer.
        """
        sets, what = (waiting_key(self._env.keys, name, digest),), waits_for(name)
        self._waits.note_ask(sets, step)
        env, claim = self._env, self._env.request_id()
        call = claim_shared(
            env.keys, name, digest, self._run, self._token, claim, given=env.clock.given,
            now=env.clock.now(),
        )  # fmt: skip
        claimed = Claimed(self, name, digest, claim)

        def give_back(answer: bytes | Computing | None) -> None:
            if answer is None:
                claimed.give_back()
            elif isinstance(answer, Computing):
                self._waits.leave(sets, step, what)

        answer = await ask(
            self._connection, call, f"run={self._run.id} cannot ask for a value", give_back
        )
        if isinstance(answer, Computing):
            give_up = self._waits.note_wait(sets, step, what)
            raise Postponed(what, answer.again_at, answer.inbox, give_up=give_up)
        return claimed if answer is None else answer

    async def get(self, key: str, default: Any) -> Any:
        """Read the value that runners share under *key*."""
        packed = await self.load(MEMO, _digest(key))
        return default if packed is None else unpack(packed)

    async def write(self, key: str, value: Any, lasts_s: float) -> None:
        """Write it."""
        await self.put(MEMO, _digest(key), self._packed(key, value), lasts_s, key)

    async def compute(self, key: str, lasts_s: float, call: Callable[[], Awaitable[Any]]) -> Any:
        """Read it, or compute it by *call* where no run does; raises Postponed while one does."""
        claimed = await self.claim(MEMO, _digest(key))
        if isinstance(claimed, bytes):
            return unpack(claimed)
        try:
            value = await call()
            packed = self._packed(key, value)
        except BaseException:
            claimed.give_back()
            raise
        claimed.keep(packed, lasts_s, key)
        return value

    def _packed(self, key: str, value: Any) -> bytes:
        limit = self._env.settings.limits.payload_bytes
        return pack(value, what=f"shared value {key!r}", limit=limit)

    async def load(self, name: str, digest: str) -> bytes | None:
        """Read a value, packed; None when there is none that holds."""
        found = await self._connection.call(load_shared(self._env.keys, name, digest))
        return None if found is None or found[1] <= self._env.clock.now() else found[0]

    async def put(self, name: str, digest: str, packed: bytes, lasts_s: float, label: str) -> None:
        """Write a value over whatever there is; durable when this returns."""
        env = self._env
        call = settle_shared(
            env.keys, name, digest, "", packed, label=label, run_id=self._run.id,
            lasts_s=lasts_s, given=env.clock.given, now=env.clock.now(),
        )  # fmt: skip
        await insist(
            lambda: self._connection.call(call), f"run={self._run.id} cannot share a value"
        )

    def settle(
        self, name: str, digest: str, claim: str, packed: bytes, lasts_s: float, label: str
    ) -> None:
        """Write what was computed under *claim*, or give that back."""
        env = self._env
        call = settle_shared(
            env.keys, name, digest, claim, packed, label=label, run_id=self._run.id,
            lasts_s=lasts_s, given=env.clock.given, now=env.clock.now(),
        )  # fmt: skip
        what = f"run={self._run.id} cannot share a value of {name!r}"
        tell(self._connection, call, what, partial(_said, self._run.id, name))


def _digest(key: str) -> str:
    return digest(MEMO, key).hex()


def _said(run_id: str, name: str, sent: asyncio.Future[bool]) -> None:
    problem = None if sent.cancelled() else sent.exception()
    if problem is not None:
        log.warning("run=%s a value of %r is not shared: %s", run_id, name, problem)

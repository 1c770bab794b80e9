"""A process of the version before: it writes the indexes that it knows, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stepflow import Client
from stepflow.core.run import ENDS
from stepflow.store.indexes.old import old_ended_index, old_expiry, old_runner_index
from stepflow.store.keys import LIVE, Keys

#: seconds: more than a run of these tests is kept
KEPT_S = 1000.0


@dataclass(frozen=True, slots=True)
class Before:
    """Carries out verbs as today's client, and leaves the indexes as that version would."""

    client: Client
    real: Any
    keys: Keys

    def submit(self, run_id: str, runner: str = "x") -> None:
        self.client.submit(runner, run_id=run_id)
        self.real.zrem(self.keys.runner_index(LIVE, runner), run_id)
        self.real.zadd(old_runner_index(self.keys, runner), {run_id: self._created(run_id)})

    def fail(self, run_id: str) -> None:
        live_of = self.keys.runner_index(LIVE, self._runner(run_id))
        listed = self.real.zscore(live_of, run_id)
        self.client.fail(run_id)
        if listed is not None:
            self.real.zadd(live_of, {run_id: listed})
        self.as_ended_before(run_id)

    def as_ended_before(self, run_id: str) -> None:
        """Put an ended run where the version before would have put it."""
        state, runner = self._state(run_id), self._runner(run_id)
        for index in (self.keys.ended_index(state), self.keys.runner_index(state, runner)):
            self.real.zrem(index, run_id)
        expires_at = self._forget_expiry(run_id)
        self.real.zadd(old_ended_index(self.keys, state), {run_id: self._created(run_id)})
        self.real.zadd(old_expiry(self.keys), {f"{state}|{runner}|{run_id}": expires_at})

    def retry(self, run_id: str) -> None:
        indexes = [
            self.keys.ended_index("failed"),
            self.keys.runner_index("failed", self._runner(run_id)),
            self.keys.expiry,
        ]
        member = f"failed|{self._runner(run_id)}|{run_id}"
        stood = [
            (index, name, self.real.zscore(index, name))
            for index in indexes
            for name in (run_id, member)
        ]
        self.client.retry(run_id)
        self.real.zrem(self.keys.runner_index(LIVE, self._runner(run_id)), run_id)
        self.real.zrem(old_ended_index(self.keys, "failed"), run_id)
        self.real.zrem(old_expiry(self.keys), member)
        for index, name, score in stood:
            if score is not None:
                self.real.zadd(index, {name: score})

    def _forget_expiry(self, run_id: str) -> float:
        for member, score in self.real.zrange(self.keys.expiry, 0, -1, withscores=True):
            if member.decode().split("|")[2] == run_id:
                self.real.zrem(self.keys.expiry, member)
                return float(score)
        return KEPT_S

    def _created(self, run_id: str) -> float:
        return float(self.real.hget(self.keys.run(run_id), "created"))

    def _runner(self, run_id: str) -> str:
        return str(self.real.hget(self.keys.run(run_id), "runner").decode())

    def _state(self, run_id: str) -> str:
        state = self.real.hget(self.keys.run(run_id), "state").decode()
        assert state in ENDS
        return str(state)

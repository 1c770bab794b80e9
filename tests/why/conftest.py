"""What tests of `why` share: somebody who asks, workers that are only said to be there, a ghost."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner
from rq.suspension import resume

from stepflow import AsyncClient, Stepflow
from stepflow.cli.main import cli
from stepflow.engine.why import Why
from stepflow.store.claims import claim_steps, sources_of
from stepflow.store.keys import Keys
from tests.store.conftest import Store
from tests.support import until


@dataclass
class Scene:
    """One name space with a client that asks why, and all that a test brings about there."""

    app: Stepflow
    client: AsyncClient
    real: Any
    url: str
    keys: Keys
    working: Callable[..., Any]
    claims: int = 0

    def key(self, run_id: str, part: str = "") -> str:
        return self.keys.run(run_id) + (f":{part}" if part else "")

    def now(self) -> float:
        seconds, micros = self.real.time()
        return float(seconds) + micros / 1e6

    def register(
        self,
        name: str = "w1",
        queues: Sequence[str] = ("default",),
        runners: Sequence[str] = ("r",),
        *,
        slots: int | None = 10,
        seen_ago: float | None = -30.0,
    ) -> None:
        """
        Have RQ know a worker of these queues.

        It was seen so many seconds ago, or nobody knows when; as a rule it lives for half a minute.
        """
        rq_queues = [rq for queue in queues for rq in self.keys.rq_queues(queue)]
        row: dict[str, Any] = {
            "queues": ",".join(rq_queues), "hostname": "host-a", "pid": 71,
            "birth": "2026-01-01T00:00:00.000000Z", "runners": ",".join(runners),
        }  # fmt: skip
        if slots is not None:
            row["concurrency"] = slots
        self.real.hset(f"rq:worker:{name}", mapping=row)
        self.real.expire(f"rq:worker:{name}", 60)
        self.real.sadd("rq:workers", f"rq:worker:{name}")
        if seen_ago is not None:
            group = self.keys.workers("+".join(sorted(queues)))
            self.real.zadd(group, {name: self.now() - seen_ago})
            self.real.expire(group, 60)

    def claim(
        self, *runners: str, worker: str = "w1", queue: str = "default", lease_s: float = 15.0
    ) -> None:
        """Claim what waits, as a worker that then does nothing."""
        call = claim_steps(
            self.keys, sources_of(self.keys, queue), given="", stem=f"{worker}.",
            number=self.claims, lease_s=lease_s, limit=10, live_workers=1, worker=worker,
            now=self.now(), runners=runners or ("r",),
        )  # fmt: skip
        self.claims += 10
        assert self.app.client.connection.call(call).taken

    async def why(self, code: str, run_id: str = "a", word: str | None = None) -> Why:
        """Ask until the answer has this code, and check what holds of every answer."""

        async def asked() -> Why | None:
            why = await self.client.why(run_id)
            return why if why.code == code else None

        try:
            why: Why = await until(asked, code)
        except AssertionError:
            raise AssertionError(f"not {code}, but {await self.client.why(run_id)!r}") from None
        assert why.word == (word or code.partition(".")[0])
        assert why.sentence
        assert "\n" not in why.sentence
        assert why.run_id == run_id
        return why

    async def carry(self, command: str) -> None:
        """Carry out what an answer says that one can type."""
        program, *words = shlex.split(command)
        if program == "rq":
            assert words == ["resume"]
            resume(self.real)
            return
        assert program == "stepflow"
        arguments = ["--redis-url", self.url, *words]
        result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
        assert result.exit_code == 0, result.output

    async def ends(self, state: str, run_id: str = "a") -> None:
        """Wait until a run has ended like this."""
        status = await self.client.wait(run_id, timeout=60)
        assert status.state == state


@pytest.fixture
def scene(
    app: Stepflow, aclient: AsyncClient, real: Any, url: str, keys: Keys, working: Any
) -> Any:
    """A scene on the real server; what it says of workers goes with it."""
    yield Scene(app, aclient, real, url, keys, working)
    for key in real.scan_iter("rq:worker*"):
        real.delete(key)


@pytest.fixture
def store(connection: Any, redis_client: Any, keys: Keys, clock: Any) -> Store:
    """A store on the fake and on the real server."""
    return Store(connection, redis_client, keys, clock)

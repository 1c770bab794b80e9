"""
What all tests share: a real server for each test process, a fake one, links to either, and a worker
on the test's loop.

A test that asks for `real` (or anything built on it) starts with an empty database and fails when
it leaves keys that nothing accounts for. A missing server is an error, never a skip.
"""

from __future__ import annotations

import asyncio
import gc
import re
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, settings

from stepflow import AsyncClient, Client, Stepflow
from stepflow.hooks.deliver import Deliverer
from stepflow.settings import RedisSettings, Settings, WebhookSettings, WorkerSettings
from stepflow.store.clock import ManualClock
from stepflow.store.connection.address import Address
from stepflow.store.connection.redis_py import connect
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.keys import Keys
from stepflow.store.scripts import Script
from stepflow.testing.server import quick_server
from stepflow.worker.worker import Worker, WorkerOptions
from tests import servers
from tests.fork_server import ForkServer, fork_server
from tests.support import Leaks

# a busy machine is no finding: examples have no time limit
settings.register_profile("stepflow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stepflow")

HERE = Path(__file__).parent
#: a worker on the test's loop, given the app and WorkerOptions by keyword
Working = Callable[..., AbstractAsyncContextManager[Worker]]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """
    Leave out a file whose tests are all of the suite that was not asked for: importing all files
    takes each test process a fifth of its time.
    """
    if not collection_path.name.startswith("test_") or collection_path.suffix != ".py":
        return None
    asked, source = config.getoption("markexpr"), collection_path.read_text()
    wholly = re.search(r"^pytestmark = (\[[^\]]*)?pytest\.mark\.crash\b", source, re.MULTILINE)
    of_folder = collection_path.parent / "conftest.py"  # which may mark what its fixtures give
    slow = "mark.crash" in source or (
        of_folder != Path(__file__) and of_folder.exists() and "mark.crash" in of_folder.read_text()
    )
    return True if (asked == "not crash" and wholly) or (asked == "crash" and not slow) else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """
    Keep what pytest makes of test files, also where Python is told to keep no bytecode: to make it
    takes each test process as long as a tenth of all tests. Each begins with other files than the
    others, and finds theirs made.

    What is loaded then stays: collections, of which many tests ask for some, need not look.
    """
    told, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    _load_a_share(session.config)
    yield
    sys.dont_write_bytecode = told
    gc.collect()
    gc.freeze()


def _load_a_share(config: pytest.Config) -> None:
    """Import what test files this process is the first to look at; others may have them by then."""
    worker = getattr(config, "workerinput", None)
    if worker is None or [Path(each).resolve() for each in config.args] != [HERE]:
        return
    files = sorted(
        file for file in HERE.rglob("test_*.py") if not pytest_ignore_collect(file, config)
    )
    number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for file in files[len(files) * number // count : len(files) * (number + 1) // count]:
        with suppress(Exception, pytest.skip.Exception):  # pytest will say what is wrong
            import_module(".".join(file.relative_to(HERE.parent).with_suffix("").parts))


@pytest.fixture(autouse=True)
def closed_archives() -> Iterator[None]:
    """What a test has left open is closed here: from 3.13 on the next one would be warned of it."""
    yield
    if (archives := sys.modules.get("stepflow.archive.database")) is not None:
        for database in list(archives._all):
            database.close()


@pytest.fixture(scope="session", autouse=True)
def named_arguments() -> Iterator[None]:
    """Every script is called with exactly the names in its header: production looks no further."""
    call = Script.call

    def checked(self: Script, *args: Any, **given: Any) -> Any:
        for part, names in {
            "keys": self.keys.single,
            "key_lists": self.keys.lists,
            "args": self.args.single,
            "lists": self.args.lists,
        }.items():
            unknown = set(given.get(part, ())) - set(names)
            assert not unknown, f"{self.name} has no {unknown} in its {part}"
        return call(self, *args, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Script, "call", checked)
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of this test process's own server."""
    with servers.test_server() as url:
        yield url


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    """What forks the program off."""
    with fork_server() as server:
        yield server


@pytest.fixture(scope="session")
def cleaner(server: str) -> Iterator[redis.Redis]:
    """A connection that stays: what comes before and after each test."""
    client = connect(Address.parse(server))
    yield client
    client.close()


@pytest.fixture
def real(server: str, cleaner: redis.Redis) -> Iterator[redis.Redis]:
    """A plain client of the real server, its database empty; at the end nothing may have leaked."""
    cleaner.flushall()
    client = connect(Address.parse(server))
    yield client
    leaked = Leaks(cleaner).find()
    cleaner.flushall()
    client.close()
    assert not leaked, f"left behind without a time to live: {leaked}"


@pytest.fixture
def url(real: redis.Redis, server: str) -> str:
    """
    The URL of the real server, its database empty; of a user with the documented rights, when that
    is asked for.
    """
    return servers.as_worker(real, server) if servers.KIND == "acl" else server


@pytest.fixture
def fake() -> Iterator[fakeredis.FakeRedis]:
    """A fake server of its own, with Lua."""
    client = fakeredis.FakeRedis(server=quick_server())
    yield client
    client.close()


@pytest.fixture(params=["fake", "real"])
def redis_client(request: pytest.FixtureRequest) -> Any:
    """A plain client: the test runs on the fake and on the real server."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def connection(redis_client: Any) -> SyncConnection:
    """A link to the fake and to the real server."""
    return SyncConnection(redis_client, "the test's server")


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def clock() -> ManualClock:
    """The clock that scripts are given; stands still."""
    return ManualClock()


@pytest.fixture
def settings() -> Settings:
    """
    Short times, so that what waits for them in production does not in tests.

    But a lease that outlasts what keeps a busy machine's test process from its renewals.
    """
    return Settings(
        redis=RedisSettings(retry_for_s=2.0),
        worker=WorkerSettings(lease_s=6.0, grace_s=1.0, stop_grace_s=0.3, redeliver_after_s=0.1),
        webhook=WebhookSettings(allow_cidrs=("127.0.0.0/8",)),
    )


@pytest.fixture
def app(url: str, settings: Settings) -> Iterator[Stepflow]:
    """An app on the real server."""
    app = Stepflow(url, settings=settings)
    yield app
    if app._client is not None:
        app._client.close()


@pytest.fixture
def client(app: Stepflow) -> Client:
    """The blocking client of the app."""
    return app.client


@pytest.fixture
async def aclient(url: str, settings: Settings) -> AsyncIterator[AsyncClient]:
    """An async client on the test's loop."""
    async with AsyncClient(url, settings=settings) as client:
        yield client


@pytest.fixture(scope="session")
def authorities() -> ssl.SSLContext:
    """Certificate authorities, read once: that is slow."""
    return ssl.create_default_context()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Make the rounds and looks of workers frequent: a test that waits for one should not wait long.
    """
    monkeypatch.setattr("stepflow.worker.maintenance.ROUND_S", 0.05)
    monkeypatch.setattr("stepflow.worker.fetcher.SUSPENDED_S", 0.05)
    monkeypatch.setattr("stepflow.worker.worker.SWEEP_S", 0.02)
    monkeypatch.setattr("stepflow.engine.insist.REFUSED_S", 0.05)


@pytest.fixture
def working(authorities: ssl.SSLContext, quick: None) -> Working:
    """
    Make workers: `async with working(app, queues=["a"], concurrency=1) as worker:` has one that is
    ready.

    *next_wait* replaces the schedule of hooks, whose first wait is of 5 seconds.
    """

    @asynccontextmanager
    async def working(
        app: Stepflow, *, next_wait: Any = None, **options: Any
    ) -> AsyncIterator[Worker]:
        async with Deliverer(app.settings.webhook, tls=authorities) as deliverer:
            worker = app.make_worker(WorkerOptions(**options), deliver=deliverer)
            worker._next_wait = next_wait or worker._next_wait
            work = asyncio.ensure_future(worker.run())
            ready = asyncio.ensure_future(worker.ready.wait())
            await asyncio.wait({work, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            try:
                yield worker
            finally:
                worker.leave()
                await work

    return working


@pytest.fixture
def link_to_real(real: redis.Redis) -> SyncConnection:
    """A link to the real server only."""
    return SyncConnection(real, "the test's server")

"""A write counts as done when the server has confirmed it; what is unsure is asked again."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import fakeredis
import pytest

from stepflow import AsyncClient, Client
from stepflow.errors import (
    InvalidOption,
    NotConfirmed,
    RedisRefused,
    ReplyLost,
    ServerUnfit,
    UnavailableError,
)
from stepflow.settings import RedisSettings, Settings
from stepflow.store.calls import command, raw
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncConnection
from stepflow.store.connection.sync import SyncConnection, carry_out
from stepflow.store.durability.async_ import ConfirmedConnection, confirming
from stepflow.store.durability.demand import check_demand, demand_of, slow_to_confirm
from stepflow.store.durability.sync import ConfirmedSyncConnection
from stepflow.store.keys import Keys
from tests.servers import as_worker
from tests.support import until, until_blocking

KEYS = Keys()


def fsync(settings: Settings | None = None):
    return demand_of("fsync", settings or Settings(), KEYS)


def increment(key: str = "stepflow:n", *, resend: bool = True):
    """What shows how often it was carried out."""
    return command("INCR", key, read=int, resend=resend)


def waits(real) -> int:
    """How many connections wait for the disk."""
    return int(real.info("clients")["blocked_clients"])


@pytest.fixture
def url(real, server):
    """The URL of a user with full rights: a worker's has neither WAITAOF nor what is sent here."""
    return server


@pytest.fixture(autouse=True)
def none_left(real):
    version = real.info("server")["redis_version"]
    if tuple(map(int, version.split(".")[:2])) < (7, 2):
        pytest.skip(f"this server is Redis {version}, and WAITAOF came with 7.2")
    yield
    real.delete("stepflow:n", "stepflow:m")


# the blocking connection


@pytest.fixture
def sync_link(url):
    link = ConfirmedSyncConnection.meeting(fsync(), Address.parse(url))
    yield link
    link.close()


def test_a_blocking_write_is_answered_when_it_is_on_disk(sync_link, real, slow_disk):
    """[S12]"""
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(sync_link.call, increment())
        until_blocking(lambda: real.get("stepflow:n") and waits(real))
        assert not answer.done()
        slow_disk()
        assert answer.result() == 1


def test_a_blocking_read_waits_for_nothing(sync_link, real, slow_disk):
    real.set("stepflow:n", 7)
    assert sync_link.call(command("GET", "stepflow:n", read=int)) == 7


def test_a_blocking_write_that_is_not_confirmed_in_time_is_unsure(url, real, slow_disk):
    """[S12] It was carried out, and says so."""
    link = ConfirmedSyncConnection.to(Address.parse(url), retry_for_s=0.6, patience_s=0.6)
    link.demand = fsync()
    with pytest.raises(NotConfirmed, match=r"INCR was carried out, .* that it is on its disk"):
        link.call(increment())
    assert real.get("stepflow:n") == b"1"
    link.close()


@pytest.mark.parametrize("resend", [True, False])
def test_a_blocking_write_whose_socket_breaks_before_it_is_confirmed_is_asked_again(
    sync_link, real, slow_disk, resend
):
    """[S12] Unless it must not arrive twice."""
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(sync_link.call, increment(resend=resend))
        until_blocking(lambda: real.get("stepflow:n") and waits(real))
        real.client_kill_filter(_type="normal", skipme=True)
        if not resend:
            with pytest.raises(ReplyLost):
                answer.result()
            return
        until_blocking(lambda: real.get("stepflow:n") == b"2")
        slow_disk()
        assert answer.result() == 2


# the connection of a loop


@pytest.fixture
async def main(url):
    connection = AsyncConnection(Address.parse(url))
    await connection.open()
    yield connection
    await connection.close()
    await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next turn


async def test_a_write_is_answered_when_it_is_on_disk(main, real, slow_disk):
    """[S12]"""
    link = await confirming(main, fsync())
    answer = asyncio.ensure_future(link.call(increment()))
    await until(lambda: real.get("stepflow:n") and waits(real))
    assert not answer.done()
    slow_disk()
    assert await answer == 1


async def test_one_wait_serves_all_that_was_answered_until_then(main, real):
    """[S12]"""
    link = await confirming(main, fsync())
    real.config_resetstat()
    answers = await link.calls([increment() for _ in range(50)])
    assert answers == list(range(1, 51))
    assert real.info("commandstats")["cmdstat_waitaof"]["calls"] <= 3


async def test_who_does_not_wait_shares_the_connection_and_pays_nothing(main, real):
    real.config_resetstat()
    await main.call(increment())
    assert "cmdstat_waitaof" not in real.info("commandstats")


async def test_a_second_arrival_that_writes_nothing_waits_for_what_the_first_has_written(
    main, real, slow_disk
):
    """[S12] WAITAOF alone would return at once: this connection has written nothing."""
    link = await confirming(main, fsync())
    real.set("stepflow:n", 7)  # by another connection, not on disk yet
    nothing_new = command("HSETNX", "stepflow:m", "known", 1, read=raw)
    real.hset("stepflow:m", "known", 1)
    answer = asyncio.ensure_future(link.call(nothing_new))
    await until(lambda: waits(real))
    assert not answer.done()
    slow_disk()
    assert await answer == 0


@pytest.mark.parametrize("resend", [True, False])
async def test_a_write_whose_socket_breaks_before_it_is_confirmed_is_asked_again(
    main, real, slow_disk, resend
):
    """[S12] Unless it must not arrive twice."""
    link = await confirming(main, fsync())
    answer = asyncio.ensure_future(link.call(increment(resend=resend)))
    await until(lambda: real.get("stepflow:n") and waits(real))
    real.client_kill_filter(_type="normal", skipme=True)
    if not resend:
        with pytest.raises(ReplyLost):
            await answer
        assert await main.call(command("GET", "stepflow:n", read=int)) == 1
        return
    await until(lambda: real.get("stepflow:n") == b"2")
    assert not answer.done()
    slow_disk()
    assert await answer == 2


class Busy:
    """A connection whose server is busy for the write in front of the first wait."""

    def __init__(self) -> None:
        self.epoch = 0
        self.asked: list[str] = []

    def send(self, call):
        future = asyncio.get_running_loop().create_future()
        self.asked.append(str(call.parts[0]))
        is_late = self.asked.count("SET") == 1 and call.parts[0] == "SET"
        answer = [1, 0] if call.parts[0] == "WAITAOF" else 1
        loop = asyncio.get_running_loop()
        loop.call_later(0.01 if is_late else 0, lambda: future.set_result(call.read(answer)))
        return future


async def test_a_wait_that_was_answered_before_the_write_in_front_of_it_confirms_nothing(real):
    """[S12] A server that is busy refuses some calls, and these are sent again behind others."""
    busy = Busy()
    assert await ConfirmedConnection(busy, fsync()).call(increment()) == 1
    assert busy.asked == ["INCR", "SET", "WAITAOF", "SET", "WAITAOF"]


async def test_a_client_gives_up_and_a_worker_waits_on(main, real, slow_disk):
    """[S12]"""
    demand = fsync()
    client, worker = (
        ConfirmedConnection(main, demand, give_up_s=0.1),
        await confirming(main, demand),
    )
    with pytest.raises(NotConfirmed, match="INCR was carried out"):
        await client.call(increment())
    answer = asyncio.ensure_future(worker.call(increment()))
    await until(lambda: waits(real))
    slow_disk()
    assert await answer == 2


async def test_a_caller_that_is_cancelled_takes_nobody_with_it(main, real, slow_disk):
    link = await confirming(main, fsync())
    first, second = (asyncio.ensure_future(link.call(increment())) for _ in range(2))
    await until(lambda: waits(real))
    first.cancel()
    slow_disk()
    assert await second == 2
    assert first.cancelled()


async def test_what_a_connection_waits_for_is_failed_when_it_is_closed(url, real, slow_disk):
    connection = AsyncConnection(Address.parse(url))
    await connection.open()
    link = await confirming(connection, fsync())
    answer = asyncio.ensure_future(link.call(increment()))
    await until(lambda: waits(real))
    await connection.close()
    with pytest.raises(UnavailableError):
        await answer


# what a server must have


def test_a_server_without_the_command_is_refused_before_anything_is_written(fake):
    """[S12]"""
    link = SyncConnection(fake, "the fake")
    with pytest.raises(ServerUnfit, match=r"'fsync' needs WAITAOF, .* from 7\.2 on"):
        carry_out(link, check_demand(fsync()))


def test_a_server_without_an_append_only_file_is_refused_unless_replicas_do(url, real):
    """[S12]"""
    link = SyncConnection.to(Address.parse(url))
    before = real.config_get("appendonly")["appendonly"]
    real.config_set("appendonly", "no")
    try:
        with pytest.raises(ServerUnfit, match="set appendonly yes, or choose"):
            carry_out(link, check_demand(fsync()))
        replicated = demand_of("replicated", Settings(), KEYS)
        assert carry_out(link, check_demand(replicated)).file is False
    finally:
        real.config_set("appendonly", before)
        until_blocking(lambda: real.info("persistence")["aof_rewrite_in_progress"] == 0)
        link.close()


def test_the_rights_that_the_docs_name_are_enough_and_their_lack_is_said(real, server):
    link = ConfirmedSyncConnection.meeting(fsync(), Address.parse(as_worker(real, server)))
    with pytest.raises(RedisRefused, match=r"NOPERM .*'waitaof' command"):
        link.call(increment())
    assert not real.exists("stepflow:n")
    real.execute_command("ACL", "SETUSER", "tested", "+waitaof", "+wait", "+incr")
    assert link.call(increment()) == 1
    link.close()
    real.execute_command("ACL", "DELUSER", "tested")


def test_that_it_will_take_long_is_said(link_to_real, real):
    assert "up to a second for the disk" in carry_out(link_to_real, slow_to_confirm(fsync()))
    replicated = demand_of("replicated", Settings(redis=RedisSettings(replicas=2)), KEYS)
    assert "waits for 2 replicas, and there are 0" in carry_out(
        link_to_real, slow_to_confirm(replicated)
    )


# clients


def test_one_submit_may_wait_for_the_disk(url, real, slow_disk):
    """[S12]"""
    with Client(url) as client, ThreadPoolExecutor(1) as threads:
        client.submit("r", run_id="at-once")
        run = threads.submit(client.submit, "r", run_id="sure", durability="fsync")
        until_blocking(lambda: client.status("sure") and waits(real))
        assert not run.done()
        slow_disk()
        assert run.result().created
        assert all(client.cancel(run_id) for run_id in ("at-once", "sure"))


def test_a_submit_that_was_unsure_is_the_same_run_when_it_is_made_again(url, real, slow_disk):
    """[S12]"""
    settings = Settings(redis=RedisSettings(retry_for_s=0.1), durability="fsync")
    with Client(url, settings=settings) as client:
        with pytest.raises(NotConfirmed, match="the same call is not carried out twice"):
            client.submit("r", {"n": 1}, run_id="unsure")
        slow_disk()
        assert not client.submit("r", {"n": 1}, run_id="unsure").created
        assert client.cancel("unsure")


async def test_an_async_client_of_the_settings_waits_for_the_disk(url, real, slow_disk):
    """[S12]"""
    async with AsyncClient(url, settings=Settings(durability="fsync")) as client:
        run = asyncio.ensure_future(client.submit("r", run_id="sure"))
        await until(lambda: real.exists("stepflow:run:sure") and waits(real))
        assert not run.done()
        slow_disk()
        assert (await run).created
        assert await client.cancel("sure")


async def test_one_submit_of_an_async_client_may_wait_for_the_disk(url, real, slow_disk):
    """[S12]"""
    async with AsyncClient(url) as client:
        run = asyncio.ensure_future(client.submit("r", run_id="sure", durability="fsync"))
        await until(lambda: real.exists("stepflow:run:sure") and waits(real))
        assert not run.done()
        assert await client.cancel("sure")  # over the connection that waits for nothing
        slow_disk()
        assert (await run).created


def test_a_durability_that_there_is_not_is_refused(url, real):
    with Client(url) as client, pytest.raises(InvalidOption, match="durability of submit is 'fs'"):
        client.submit("r", durability="fs")


def test_a_fake_server_is_what_a_stand_in_keeps(fake: fakeredis.FakeRedis):
    """Nothing is waited for where a test brings its own connection: it keeps nothing anyway."""
    link = SyncConnection(fake, "the fake")
    client = Client(connection=link, settings=Settings(durability="fsync"))
    assert client.submit("r", run_id="one").created

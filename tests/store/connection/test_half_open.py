"""[B21] Existing connections go silent while new ones work: each kind moves to a new one."""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from stepflow.errors import RedisUnreachable, ReplyLost
from stepflow.store.calls import command, raw
from stepflow.store.connection.address import Address, Times
from stepflow.store.connection.async_ import AsyncConnection
from stepflow.store.connection.pubsub import Listener
from stepflow.store.connection.sync import SyncConnection
from tests import servers
from tests.crash.support.proxy import Proxy
from tests.store.toy import Toy, greet
from tests.support import until


@pytest.fixture
def url(real, server):
    """The URL of a user with full rights: these tests send commands that stepflow does not."""
    return server


pytestmark = pytest.mark.skipif(
    servers.KIND == "tls", reason="a proxy of its own stands before the server's socket"
)

PING = command("PING", "call", read=raw)
ONCE = command("INCR", "once", read=raw, resend=False)


def echo(text):
    return command("ECHO", text, read=lambda reply: reply.decode())


@pytest.fixture
def proxy(url):
    """A proxy before the real server."""
    server = unquote(urlsplit(url).path)
    with (
        tempfile.TemporaryDirectory(prefix="sf") as folder,
        Proxy(server, Path(folder) / "p.sock") as proxy,
    ):
        yield proxy


@pytest.fixture
def quick_sweeps(monkeypatch):
    monkeypatch.setattr("stepflow.store.connection.reconnecting._SWEEP_S", 0.02)


async def test_the_async_link_goes_on_over_a_new_connection(proxy, quick_sweeps):
    """[B21]"""
    connection = AsyncConnection(Address.parse(proxy.url), patience_s=0.1)
    told = []
    connection.on_silent = lambda: told.append(True)
    await connection.open()
    proxy.go_silent()
    assert await asyncio.gather(*[connection.call(echo(str(number))) for number in range(50)]) == [
        str(n) for n in range(50)
    ]
    assert told == [True]
    await connection.close()


async def test_of_calls_over_a_dead_connection_one_that_must_not_arrive_twice_is_lost(
    proxy, quick_sweeps
):
    """[B21]"""
    connection = AsyncConnection(Address.parse(proxy.url), patience_s=0.1)
    await connection.open()
    proxy.go_silent()
    lost, behind = connection.send(ONCE), connection.send(echo("behind"))
    with pytest.raises(ReplyLost):
        await lost
    assert await behind == "behind"
    await connection.close()


def test_the_blocking_link_goes_on_over_a_new_connection_within_its_budget(proxy):
    """[B21]"""
    connection = SyncConnection.to(Address.parse(proxy.url), retry_for_s=5.0, patience_s=0.1)
    assert connection.call(echo("a")) == "a"
    proxy.go_silent()
    assert connection.calls([echo(str(number)) for number in range(200)]) == [
        str(number) for number in range(200)
    ]
    proxy.go_silent()
    with pytest.raises(ReplyLost):
        connection.call(ONCE)
    assert connection.call(echo("after")) == "after"
    connection.close()


def slow_for(seconds, connections):
    """
    Return a server that stays silent for some seconds and then answers everything.

    Those who were there first hear of it first, however its threads come to their turns.
    """
    began = time.monotonic()

    def behave(number, command_):
        if greet(command_) is None or number:
            again_at = began + seconds + 0.2 * bool(number)
            time.sleep(max(0.0, again_at - time.monotonic()))
        connections.add(number)
        return greet(command_) or b":1\r\n"

    return behave


async def test_a_server_that_is_only_slow_is_waited_for(quick_sweeps):
    """
    [B21] Negative control: no connection is silent while another answers.

    A call that must not be sent twice is sent once.
    """
    seen = set()
    with Toy(slow_for(0.6, seen)) as toy:
        connection = AsyncConnection(Address.parse(toy.url), patience_s=0.1)
        await connection.open()
        assert await connection.call(ONCE) == 1
        await connection.close()
    assert [command_[0] for _, command_ in toy.got].count(b"INCR") == 1
    with Toy(slow_for(0.6, seen)) as toy:
        blocking = SyncConnection.to(Address.parse(toy.url), patience_s=0.1)
        assert await asyncio.to_thread(blocking.call, ONCE) == 1
        blocking.close()
    assert [command_[0] for _, command_ in toy.got].count(b"INCR") == 1


@pytest.mark.crash
@pytest.mark.parametrize("budget_s", [0.3, 0.6])
async def test_a_call_ends_within_its_budget_when_nothing_answers_at_all(budget_s, quick_sweeps):
    """[B21] [B22] Was: 30 s, of a client that says 10."""
    with Toy(lambda number, got: b"" if number else greet(got) or b"") as toy:
        address = Address.parse(toy.url)
        address = Address(
            address.host, address.port, times=Times(connect_s=90.0, reply_s=90.0, budget_s=budget_s)
        )
        connection = AsyncConnection(address, retry_for_s=budget_s, patience_s=0.1)
        await connection.open()
        before = time.monotonic()
        with pytest.raises(RedisUnreachable):
            await connection.call(echo("x"))
        await connection.close()
    with Toy(lambda number, command_: b"") as toy:
        address = Address.parse(toy.url)
        address = Address(
            address.host, address.port, times=Times(connect_s=90.0, reply_s=90.0, budget_s=budget_s)
        )
        blocking = SyncConnection.to(address, patience_s=0.1)
        with pytest.raises(RedisUnreachable):
            await asyncio.to_thread(blocking.call, PING)
        blocking.close()
    assert time.monotonic() - before < 60, "well below the other limits, which are of 90 s each"


async def test_a_listener_hears_again_after_its_connection_went_silent(proxy, real, monkeypatch):
    """[B21] Was: never, and cancels came late for good."""
    for name, value in (("_LOOK_S", 0.02), ("_SILENT_S", 0.1), ("PATIENCE_S", 0.1)):
        monkeypatch.setattr(f"stepflow.store.connection.pubsub.{name}", value)
    listener, heard = Listener(Address.parse(proxy.url)), []
    await listener.subscribe("a", heard.append)
    proxy.go_silent()
    await until(lambda: real.publish("a", "x") and "x" in heard)
    await listener.close()


async def test_a_listener_without_channels_sends_nothing(proxy, monkeypatch):
    """[B21] An idle client costs the server nothing."""
    monkeypatch.setattr("stepflow.store.connection.pubsub._LOOK_S", 0.02)
    listener = Listener(Address.parse(proxy.url))
    await listener.subscribe("a", print)
    assert listener._looking is not None
    listener.unsubscribe("a", print)
    await until(lambda: listener._looking is None)
    await listener.close()


def test_the_child_of_a_fork_does_not_leave_the_channels_of_its_parent(url, real):
    """[B21] A loop over a run's output that goes on in both, say: each listens for itself."""
    connection = SyncConnection.to(Address.parse(url))
    with connection.listening("news") as heard:
        heard(0.01)
        child = os.fork()
        if child == 0:
            connection.call(echo("child"))
            heard(0.01)
        else:
            assert os.waitpid(child, 0)[1] == 0
            assert real.pubsub_numsub("news") == [(b"news", 1)]
    if child == 0:
        fine = all(connection.call(echo(str(number))) == str(number) for number in range(50))
        os._exit(0 if fine else 1)
    assert connection.call(echo("parent")) == "parent"
    connection.close()


def test_a_client_in_the_child_of_a_fork_has_connections_of_its_own(url):
    """[B21] Two processes over one connection read each other's answers."""
    connection = SyncConnection.to(Address.parse(url))
    assert connection.call(echo("parent")) == "parent"
    child = os.fork()
    if child == 0:
        fine = all(
            connection.call(echo(f"child{number}")) == f"child{number}" for number in range(50)
        )
        os._exit(0 if fine else 1)
    assert all(
        connection.call(echo(f"parent{number}")) == f"parent{number}" for number in range(50)
    )
    assert os.waitpid(child, 0)[1] == 0
    connection.close()

"""
[B20] A connection leaves a server that does not take writes.

That server wrote nothing, so the calls it refused are sent to the next.
"""

import asyncio
import threading

import pytest

from stepflow.errors import RedisRefused, RedisUnreachable
from stepflow.store.calls import command, raw
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncConnection
from stepflow.store.connection.error_replies import word_of
from stepflow.store.connection.sync import SyncConnection
from tests.store.toy import Toy, greet
from tests.support import until

pytestmark = pytest.mark.crash


@pytest.fixture
def url(real, server):
    """The URL of a user with full rights: these tests send commands that stepflow does not."""
    return server


ONCE = command("INCR", "n", read=raw, resend=False)
ASK = command("GET", "k", read=raw)

ELSEWHERE = [
    b"READONLY You can't write against a read only replica.",
    b"READONLY You can't write against a read only replica. script: 28d4, on @user_script:1.",
    (
        b"ERR Error running script (call to f_1): @user_script:3: "
        b"-READONLY You can't write against a read only replica."
    ),
    b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    b"LOADING Redis is loading the dataset in memory",
    b"NOREPLICAS Not enough good replicas to write.",
    b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
]
LATER = [
    b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    b"TRYAGAIN Multiple keys",
]


def refuses(answer, times):
    """A server that refuses so many calls with *answer*."""
    left = [times]

    def behave(number, got):
        if greet(got) is None and left[0]:
            left[0] -= 1
            return b"-" + answer + b"\r\n"
        return greet(got) or b":1\r\n"

    return behave


@pytest.mark.parametrize("answer", ELSEWHERE)
async def test_a_server_that_will_not_write_is_left_and_the_call_sent_to_the_next(answer):
    """[B20] Also one that must not arrive twice: nothing was written."""
    with Toy(refuses(answer, 2)) as toy:
        blocking = SyncConnection.to(Address.parse(toy.url))
        assert await asyncio.to_thread(blocking.call, ONCE) == 1
        assert toy.connections == 3
        blocking.close()
    with Toy(refuses(answer, 2)) as toy:
        connection = AsyncConnection(Address.parse(toy.url))
        await connection.open()
        assert await connection.call(ONCE) == 1
        assert toy.connections == 3
        await connection.close()


@pytest.mark.parametrize("answer", LATER)
async def test_a_server_that_is_held_up_is_asked_again_over_the_same_connection(answer):
    """[B20]"""
    with Toy(refuses(answer, 2)) as toy:
        blocking = SyncConnection.to(Address.parse(toy.url))
        assert await asyncio.to_thread(blocking.call, ONCE) == 1
        connection = AsyncConnection(Address.parse(toy.url))
        await connection.open()
        assert await connection.call(ONCE) == 1
        assert toy.connections == 2
        blocking.close()
        await connection.close()


async def test_calls_keep_their_order_and_those_answered_their_answers():
    """[B20]"""
    refused = []

    def behave(number, got):
        if greet(got) is None and got[1] in (b"2", b"3") and number == 0:
            refused.append(got[1])
            return b"-READONLY x\r\n"
        return greet(got) or b"$%d\r\n%s\r\n" % (len(got[1]), got[1])

    calls = [command("ECHO", str(number), read=raw, resend=False) for number in range(5)]
    with Toy(behave) as toy:
        connection = AsyncConnection(Address.parse(toy.url))
        await connection.open()
        assert await connection.calls(calls) == [b"0", b"1", b"2", b"3", b"4"]
        await connection.close()
    assert [got[1] for _, got in toy.got] == [b"0", b"1", b"2", b"3", b"4", b"2", b"3"]
    with Toy(behave) as toy:
        blocking = SyncConnection.to(Address.parse(toy.url))
        assert await asyncio.to_thread(blocking.calls, calls) == [b"0", b"1", b"2", b"3", b"4"]
        blocking.close()
    assert [got[1] for _, got in toy.got] == [b"0", b"1", b"2", b"3", b"4", b"2", b"3"]


@pytest.mark.parametrize("answer", [ELSEWHERE[0], LATER[0]])
async def test_a_client_gives_up_after_its_budget_with_the_servers_own_word(answer, monkeypatch):
    """[B20]"""
    monkeypatch.setattr("stepflow.store.connection.reconnecting._SWEEP_S", 0.02)
    with Toy(refuses(answer, 1_000_000)) as toy:
        blocking = SyncConnection.to(Address.parse(toy.url), retry_for_s=0.3)
        with pytest.raises(RedisRefused, match=answer.split()[0].decode()):
            await asyncio.to_thread(blocking.call, ONCE)
        blocking.close()
        connection = AsyncConnection(Address.parse(toy.url), retry_for_s=0.3, patience_s=5)
        await connection.open()
        with pytest.raises(RedisRefused, match=answer.split()[0].decode()):
            await connection.call(ONCE)
        await connection.close()
        assert len(toy.got) < 20, "a demoted primary lets one in at once: that must be no hot loop"


async def test_a_primary_that_is_demoted_is_left_and_found_again(real, url):
    """[B20] A real one, with connections left open."""
    real.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        connection, blocking = (
            AsyncConnection(Address.parse(url)),
            SyncConnection.to(Address.parse(url)),
        )
        await connection.open()
        first = connection.send(command("SET", "a", 1, "EX", 5, read=raw))
        second = asyncio.ensure_future(
            asyncio.to_thread(blocking.call, command("SET", "b", 1, "EX", 5, read=raw))
        )
        await until(lambda: connection._outage.is_recent(asyncio.get_running_loop().time()))
        assert not first.done()
    finally:
        real.execute_command("REPLICAOF", "NO", "ONE")
    assert await first == await second == b"OK"
    await connection.close()
    blocking.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"MOVED 3999 127.0.0.1:6381", "this is a Redis Cluster"),
        (b"CROSSSLOT Keys in request don't hash to the same slot", "this is a Redis Cluster"),
        (
            b"ERR unknown command 'EVALSHA', with args beginning with: ",
            r"may be a Sentinel \(write redis\+sentinel://",
        ),
        (b"ERR DB index is out of range", "fewer databases"),
        (b"ERR SELECT is not allowed in cluster mode", "this is a Redis Cluster"),
    ],
)
async def test_what_is_no_single_redis_says_what_it_is(answer, words):
    """[B22]"""
    with Toy(refuses(answer, 2)) as toy:
        blocking = SyncConnection.to(Address.parse(toy.url))
        with pytest.raises(RedisRefused, match=words):
            await asyncio.to_thread(blocking.call, ASK)
        connection = AsyncConnection(Address.parse(toy.url), retry_for_s=5.0)
        with pytest.raises(RedisRefused, match=words):
            await connection.call(ASK)
        blocking.close()
        await connection.close()


@pytest.mark.parametrize(
    "text",
    [
        "ERR max number of clients reached",
        "ERR max number of clients + cluster connections reached",
    ],
)
def test_a_server_with_too_many_clients_is_one_that_comes_back(text):
    """[B20]"""
    assert word_of(text) == "MAXCLIENTS"


def test_a_users_own_text_in_an_error_is_no_word_of_the_servers():
    """[B20] Negative control."""
    assert word_of("ERR value 'readonly' is not an integer") == "ERR"
    assert word_of("OOM command not allowed") == "OOM"


async def test_reconnecting_needs_no_thread_of_the_loops_pool(real, url):
    """[B10] User code may fill it for minutes."""
    over = threading.Event()
    stuck = [asyncio.get_running_loop().run_in_executor(None, over.wait, 30) for _ in range(40)]
    connection = AsyncConnection(Address.parse(url))
    await connection.open()
    real.client_kill_filter(_type="normal", skipme=True)
    assert await connection.call(command("PING", read=raw)) == b"PONG"
    named = AsyncConnection(Address.parse("redis://localhost:1"), retry_for_s=0.05)
    with pytest.raises(RedisUnreachable, match=r"refused|Errno"):
        await named.call(ASK)
    over.set()
    await asyncio.gather(*stuck)
    await connection.close()
    await named.close()


async def test_a_resolver_that_hangs_holds_one_thread_and_nobody(monkeypatch):
    """[B10]"""
    asked, over = [], threading.Event()

    def hang(place, *args, **kwargs):
        asked.append(place)
        over.wait(60)
        return []

    monkeypatch.setattr("stepflow.store.connection.dial.socket.getaddrinfo", hang)
    blocking = SyncConnection.to(
        Address.parse("redis://somewhere.invalid"), retry_for_s=0.2, patience_s=0.1
    )
    with pytest.raises(RedisUnreachable, match=r"the name somewhere.invalid is not resolved"):
        await asyncio.to_thread(blocking.call, ASK)
    with pytest.raises(RedisUnreachable):
        await asyncio.to_thread(blocking.call, ASK)
    assert asked == ["somewhere.invalid"]
    over.set()

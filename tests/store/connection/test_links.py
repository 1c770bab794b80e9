"""The connections: which calls are sent again, forgotten scripts, cut connections, refusals."""

import asyncio
import time
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import pytest

from stepflow.core.ids import Delivery
from stepflow.core.run import Run
from stepflow.errors import (
    InvalidOption,
    RedisRefused,
    RedisUnreachable,
    ReplyLost,
    UnreadableRecord,
)
from stepflow.store.calls import Call, LateCall, command, raw
from stepflow.store.claims import claim_steps, sources_of
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncConnection
from stepflow.store.connection.pubsub import Listener
from stepflow.store.connection.redis_py import connect
from stepflow.store.connection.sockets import RedisSocket
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.lua.source import Names
from stepflow.store.runs import submit_run
from stepflow.store.scripts import Script
from stepflow.store.values.codec import pack
from stepflow.testing.connection import FakeConnection
from tests.store.toy import OK, Toy, greet
from tests.support import until, until_blocking


@pytest.fixture
def url(real, server):
    """The URL of a user with full rights: these tests send commands that stepflow does not."""
    return server


#: has an argument, unlike the PING of a greeting
PING = command("PING", "call", read=raw)
ONCE = command("INCR", "n", read=raw, resend=False)


def echo(text):
    return command("ECHO", text, read=lambda reply: reply.decode())


def submit(keys, run_id="a", request="r1"):
    run = Run(run_id, "x", delivery=Delivery(run_id, 0).rq_id, created_at=1.0)
    return submit_run(keys, run, request=request, data=["payload", pack(1)])


@pytest.fixture
def blocking(url):
    connection = SyncConnection.to(Address.parse(url), retry_for_s=2.0)
    yield connection
    connection.close()


def test_several_calls_are_answered_in_order(connection):
    assert connection.calls([echo("a"), echo("b"), echo("c")]) == ["a", "b", "c"]
    assert connection.calls([]) == []


def test_scripts_the_server_forgot_are_loaded_and_called_again(connection, keys, redis_client):
    redis_client.script_flush()
    assert connection.call(submit(keys, "a")) is None
    redis_client.script_flush()
    answers = connection.calls(
        [submit(keys, "b"), echo("x"), submit(keys, "c"), submit(keys, "b", "r2")]
    )
    assert answers[:3] == [None, "x", None]
    assert answers[3][b"runner"] == b"x"
    redis_client.flushall()


def test_a_blocking_link_goes_on_over_a_new_connection_when_its_own_was_cut(blocking, real):
    """[C36]"""
    for _ in range(3):
        assert blocking.calls([echo("a"), echo("b")]) == ["a", "b"]
        real.client_kill_filter(_type="normal", skipme=True)


def hangs_up_on(word, times):
    """A server that carries a command out and hangs up before the reply, so many times."""
    left = [times]

    def behave(number, command_):
        if command_[0] == word and left[0]:
            left[0] -= 1
            return None
        return greet(command_) or b":1\r\n"

    return behave


def test_a_call_that_may_arrive_twice_is_sent_again_after_a_lost_reply():
    """[C13]"""
    with Toy(hangs_up_on(b"GET", 2)) as toy:
        connection = SyncConnection.to(Address.parse(toy.url), retry_for_s=5.0)
        assert connection.call(command("GET", "k", read=raw)) == 1
        assert [got[1][0] for got in toy.got] == [b"GET"] * 3
        connection.close()


def test_a_call_that_must_not_arrive_twice_is_not_sent_again():
    """[C13] Negative control: the same lost reply."""
    with Toy(hangs_up_on(b"INCR", 9)) as toy:
        connection = SyncConnection.to(Address.parse(toy.url), retry_for_s=5.0)
        with pytest.raises(ReplyLost, match="the reply to INCR was lost"):
            connection.call(ONCE)
        with pytest.raises(ReplyLost):
            connection.calls([PING, ONCE])
        assert [got[1][0] for got in toy.got].count(b"INCR") == 2
        connection.close()


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "give it more memory"),
        (b"-MISCONF Errors writing to the AOF file\r\n", "it cannot persist"),
        (b"-NOPERM this user has no permissions\r\n", "grant it"),
        (b"-NOAUTH Authentication required.\r\n", "put the password into the URL"),
        (b"-ERR something else\r\n", "look at the server's log"),
    ],
)
async def test_a_refusal_is_told_in_words_with_what_to_do(answer, hint):
    """[C39]"""
    with Toy(lambda number, command_: greet(command_) or answer) as toy:
        blocking = SyncConnection.to(Address.parse(toy.url), retry_for_s=5.0)
        with pytest.raises(RedisRefused, match=hint):
            await asyncio.to_thread(blocking.call, PING)
        blocking.close()
        connection = AsyncConnection(Address.parse(toy.url))
        await connection.open()
        with pytest.raises(RedisRefused, match=hint):
            await connection.call(PING)
        await connection.close()
    assert len(toy.got) == 2


async def test_a_server_that_is_still_loading_is_waited_for():
    """[C36]"""
    seen = []

    def behave(number, command_):
        seen.append(command_[0])
        return (
            b"-LOADING Redis is loading the dataset in memory\r\n"
            if len(seen) < 60 and number < 2
            else greet(command_) or b"+PONG\r\n"
        )

    with Toy(behave) as toy:
        connection = AsyncConnection(Address.parse(toy.url), retry_for_s=5.0)
        await connection.open()
        assert await connection.calls([echo("x"), PING]) == ["PONG", b"PONG"]
        await connection.close()
        blocking = SyncConnection.to(Address.parse(toy.url), retry_for_s=5.0)
        assert await asyncio.to_thread(blocking.call, PING) is not None
        blocking.close()


def test_a_redis_that_is_not_there_is_unreachable_after_the_time_given():
    connection = SyncConnection.to(Address.parse("redis://:s3cret@127.0.0.1:1"), retry_for_s=0.05)
    with pytest.raises(
        RedisUnreachable, match=r"Redis at redis://127.0.0.1:1/0 does not answer"
    ) as caught:
        connection.call(PING)
    assert "s3cret" not in str(caught.value)
    connection.close()


def test_a_listener_that_blocks_hears_a_message_and_survives_a_cut(blocking, real):
    """[C41]"""
    with blocking.listening("news") as heard:
        heard(0.5)
        until_blocking(lambda: real.publish("news", "x"))
        before = time.monotonic()
        heard(120.0)
        assert time.monotonic() - before < 100, "it came at once, not when the time was over"
        real.client_kill_filter(_type="pubsub", skipme=True)
        heard(0.01)


def late_echoes(made, numbers):
    def make(number):
        made.append(number)
        return echo(str(number))

    return [LateCall(partial(make, number)) for number in numbers]


def test_late_calls_are_made_while_the_server_works_on_those_before(blocking, monkeypatch):
    made, seen = [], []
    send = RedisSocket.send

    def noted(self, data, until):
        seen.append(len(made))
        send(self, data, until)

    blocking.call(PING)
    monkeypatch.setattr(RedisSocket, "send", noted)
    assert blocking.calls(late_echoes(made, range(120))) == [str(number) for number in range(120)]
    assert (made, seen) == (list(range(120)), [50, 100, 120])


async def test_late_calls_are_made_once_also_when_they_are_sent_again(async_connection, real):
    made = []
    calls = late_echoes(made, range(40))
    assert await async_connection.calls(calls) == [str(number) for number in range(40)]
    real.client_kill_filter(_type="normal", skipme=True)
    assert await async_connection.calls(calls) == [str(number) for number in range(40)]
    assert made == list(range(40))


def test_a_late_call_that_cannot_be_made_fails_alone(blocking):
    def fails():
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        blocking.calls([echo("a"), LateCall(fails)])
    assert blocking.calls([echo("b"), echo("c")]) == ["b", "c"]
    assert not hasattr(LateCall(lambda: PING), "color")


async def test_a_late_call_that_fails_leaves_the_others_in_step(async_connection):
    """What was made before it is sent, and what comes behind it gets its own answers."""

    def fails():
        raise ValueError("no such thing")

    calls = [echo("a"), LateCall(fails), echo("b")]
    sent = [async_connection.send(call) for call in calls]
    found = await asyncio.wait_for(asyncio.gather(*sent, return_exceptions=True), 10)
    assert [found[0], str(found[1]), found[2]] == ["a", "no such thing", "b"]
    assert await async_connection.calls([echo("c"), echo("d")]) == ["c", "d"]


def test_a_connection_that_listened_serves_calls_again(blocking, real):
    """What was published meanwhile is no reply to them, whenever it arrived."""
    blocking.call(PING)
    opened = real.info("stats")["total_connections_received"]
    for number in range(5):
        with blocking.listening("news", "more"):
            real.publish("news", "unread")
            real.publish("more", "x" * number * 50_000)
        assert blocking.calls([echo("a"), echo("b")]) == ["a", "b"]
    assert real.info("stats")["total_connections_received"] == opened


def test_a_connection_that_listened_hears_only_of_its_new_channels(blocking, real):
    with blocking.listening("old"):
        real.publish("old", "unread")
    with blocking.listening("new") as heard:
        until_blocking(lambda: real.pubsub_numsub("new")[0][1] == 1)
        real.publish("old", "not for us")
        began = time.monotonic()
        heard(0.2)
        assert time.monotonic() - began >= 0.2


def test_a_connection_that_broke_while_it_listened_is_not_used_again(blocking, real):
    for number in range(3):
        with blocking.listening("news"):
            until_blocking(lambda: real.pubsub_numsub("news")[0][1] == 1)
            real.client_kill_filter(_type="pubsub", skipme=True)
        assert blocking.call(echo(str(number))) == str(number)


def test_a_connection_whose_subscription_was_refused_is_not_used_again(blocking, real, url):
    real.acl_setuser("deaf", enabled=True, nopass=True, keys=["*"], commands=["+@all"], reset=True)
    split = urlsplit(url)
    named = split._replace(netloc=f"deaf:x@{split.netloc.rpartition('@')[2]}")
    deaf = SyncConnection.to(Address.parse(urlunsplit(named)), retry_for_s=2.0)
    try:
        for number in range(3):
            with deaf.listening("news") as heard:
                heard(0.05)
                assert real.pubsub_numsub("news")[0][1] == 0
            assert deaf.calls([echo("a"), echo(str(number))]) == ["a", str(number)]
    finally:
        deaf.close()
        real.acl_deluser("deaf")


@pytest.fixture
async def async_connection(url):
    connection = AsyncConnection(Address.parse(url))
    await connection.open()
    yield connection
    await connection.close()


async def test_what_is_sent_together_is_answered_to_each_its_own(async_connection):
    assert await asyncio.gather(
        *[async_connection.call(echo(str(number))) for number in range(500)]
    ) == [str(number) for number in range(500)]


async def test_a_cancelled_call_does_not_shift_the_replies_of_the_others(async_connection):
    sent = [async_connection.send(echo(str(number))) for number in range(10)]
    sent[3].cancel()
    await asyncio.sleep(0)
    sent[4].cancel()
    rest = [future for number, future in enumerate(sent) if number not in (3, 4)]
    assert await asyncio.gather(*rest) == [
        str(number) for number in range(10) if number not in (3, 4)
    ]


async def test_what_cannot_be_sent_or_read_is_its_callers_own_trouble(async_connection):
    bad = [
        async_connection.send(command("ECHO", "\ud800", read=raw)),
        async_connection.send(command("ECHO", {}, read=raw)),
        async_connection.send(command("ECHO", "x", read=int)),
    ]
    assert await async_connection.call(echo("fine")) == "fine"
    kinds = [type(error) for error in await asyncio.gather(*bad, return_exceptions=True)]
    assert kinds == [InvalidOption, TypeError, ValueError]


async def test_a_script_that_many_calls_miss_at_once_is_loaded_once(async_connection, keys, real):
    await async_connection.call(submit(keys))
    real.script_flush()
    loaded = loads(real)
    calls = [submit(keys, f"r{number}") for number in range(40)]
    assert await async_connection.calls(calls) == [None] * 40
    assert loads(real) - loaded == 1


NAMED = [
    Script(name, f"return redis.call('RPUSH', 'order', '{name}')", Names(), Names())
    for name in "abc"
]


def in_order(real):
    """Calls of which the second is known to the server, and what they leave when in order."""
    real.script_flush()
    real.script_load(NAMED[1].text)
    scripts = [NAMED[0], NAMED[1], NAMED[2], NAMED[0], NAMED[1]]
    return [script.call(raw, keys={}) for script in scripts], [b"a", b"b", b"c", b"a", b"b"]


async def test_calls_arrive_in_order_also_where_the_server_does_not_know_their_scripts(url, real):
    """Was: those behind a call of an unknown script were carried out before it."""
    calls, order = in_order(real)
    connection = AsyncConnection(Address.parse(url))
    await connection.open()
    assert await connection.calls(calls) == [1, 2, 3, 4, 5]
    assert real.lrange("order", 0, -1) == order
    loaded = loads(real)
    assert await connection.calls(calls) == [6, 7, 8, 9, 10]
    real.client_kill_filter(_type="normal", skipme=True)
    real.script_flush()
    assert await connection.calls(calls) == [11, 12, 13, 14, 15]
    assert real.lrange("order", 0, -1) == order * 3
    assert loads(real) - loaded == 3
    real.delete("order")
    await connection.close()


def test_blocking_calls_arrive_in_order_where_the_server_does_not_know_their_scripts(
    url, blocking, real
):
    """Over its own sockets and over a redis-py client."""
    for connection in (blocking, SyncConnection(connect(Address.parse(url)), "redis")):
        calls, order = in_order(real)
        assert connection.calls(calls) == [1, 2, 3, 4, 5]
        assert connection.calls(calls) == [6, 7, 8, 9, 10]
        real.client_kill_filter(_type="normal", skipme=True)
        real.script_flush()
        assert connection.calls(calls) == [11, 12, 13, 14, 15]
        assert real.lrange("order", 0, -1) == order * 3
        real.delete("order")


async def test_a_script_that_may_not_be_loaded_is_called_where_the_server_knows_it(url, real):
    """[O20] Else the call says what right is missing, and so does the next."""
    real.script_flush()
    real.script_load(NAMED[0].text)
    real.acl_setuser(
        "narrow", enabled=True, passwords=["+x"], categories=["+@all"], commands=["-script"],
        keys=["*"], channels=["*"], reset=True,
    )  # fmt: skip
    parts = urlsplit(url)
    narrow = urlunsplit(parts._replace(netloc=f"narrow:x@{parts.netloc.rpartition('@')[2]}"))
    known, unknown = (script.call(raw, keys={}) for script in NAMED[:2])
    waiting = AsyncConnection(Address.parse(narrow))
    await waiting.open()
    blocking = SyncConnection.to(Address.parse(narrow), retry_for_s=2.0)
    for _ in range(2):
        answers = await asyncio.gather(
            *[waiting.call(call) for call in (known, unknown, unknown)], return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [int, RedisRefused, RedisRefused]
        assert "script" in str(answers[1]), answers[1]
        assert blocking.call(known)
        with pytest.raises(RedisRefused, match="script"):
            await asyncio.to_thread(blocking.call, unknown)
    await waiting.close()
    blocking.close()
    real.acl_deluser("narrow")
    real.delete("order")


def loads(real):
    return real.info("commandstats").get("cmdstat_script|load", {"calls": 0})["calls"]


async def test_the_async_link_loads_scripts_the_server_forgot(async_connection, keys, real):
    assert await async_connection.calls([submit(keys, "a"), submit(keys, "b")]) == [None, None]
    real.script_flush()
    call = claim_steps(
        keys, sources_of(keys, "default"), given="1.0", stem="w.", number=0, lease_s=9, limit=9,
        live_workers=1, worker="w", now=1.0, runners=["x"],
    )  # fmt: skip
    assert len((await async_connection.call(call)).taken) == 2, (
        "a script that was not known was not carried out: it may be sent again"
    )


async def test_the_async_link_goes_on_over_a_new_connection_and_says_so(async_connection, real):
    """[C36]"""
    told = []
    async_connection.on_reconnect = lambda: told.append(True)
    for number in range(1, 4):
        real.client_kill_filter(_type="normal", skipme=True)
        assert await asyncio.gather(
            *[async_connection.call(echo(str(each))) for each in range(50)]
        ) == [str(each) for each in range(50)]
        await until(lambda number=number: len(told) == number)


async def test_of_calls_in_flight_when_the_connection_is_cut_those_are_sent_again_that_may_be(
    async_connection, real
):
    """[C13]"""
    blocked = async_connection.send(command("BLPOP", "nothing", 0, read=raw, resend=False))
    behind = async_connection.send(echo("behind"))
    await until(lambda: any(client["cmd"] == "blpop" for client in real.client_list()))
    real.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(ReplyLost, match="the reply to BLPOP was lost"):
        await blocked
    assert await behind == "behind"


async def test_a_connection_lost_while_it_is_greeted_mixes_up_no_replies():
    """[C36] Was: of two connections, one got the replies of the other."""

    def behave(number, command_):
        if number < 4 and command_ == [b"PING"] and (number % 2 or len(toy.got) == 0):
            return None
        return greet(command_) or (
            b"$%d\r\n%s\r\n" % (len(command_[1]), command_[1]) if command_[0] == b"ECHO" else OK
        )

    with Toy(behave) as toy:
        connection = AsyncConnection(Address.parse(toy.url), retry_for_s=10.0)
        opening = asyncio.ensure_future(connection.open())
        calls = [asyncio.ensure_future(connection.call(echo(str(number)))) for number in range(20)]
        await opening
        assert await asyncio.gather(*calls) == [str(number) for number in range(20)]
        assert await connection.call(echo("last")) == "last"
        await connection.close()


async def test_a_first_connection_that_fails_is_said_at_once_or_after_the_time_given():
    with pytest.raises(RedisUnreachable):
        await AsyncConnection(Address.parse("redis://127.0.0.1:1")).open()
    connection = AsyncConnection(Address.parse("redis://127.0.0.1:1"), retry_for_s=0.05)
    with pytest.raises(RedisUnreachable):
        await connection.call(PING)
    with pytest.raises(RedisUnreachable):
        await connection.call(PING)
    await connection.close()


async def test_a_closed_link_fails_what_waits_and_what_comes(async_connection):
    waiting = async_connection.send(command("BLPOP", "nothing", 0, read=raw, resend=False))
    await asyncio.sleep(0)
    await async_connection.close()
    for call in (waiting, async_connection.call(PING)):
        with pytest.raises(RedisUnreachable, match="the connection was closed"):
            await call


async def test_a_server_that_stopped_answering_is_connected_to_again(monkeypatch):
    """[C36]"""
    monkeypatch.setattr("stepflow.store.connection.reconnecting._SWEEP_S", 0.02)

    def behave(number, command_):
        return greet(command_) or (b"" if number == 0 else b"+PONG\r\n")

    with Toy(behave) as toy:
        connection = AsyncConnection(Address.parse(toy.url), reply_timeout_s=0.1)
        await connection.open()
        assert await connection.call(PING) == b"PONG"
        assert toy.connections == 2
        await connection.close()


async def test_the_stand_in_for_the_fake_carries_out_the_same_calls(fake, keys):
    connection = FakeConnection(SyncConnection(fake, "fake"))
    await connection.open()
    assert await connection.calls([submit(keys, "a"), echo("x")]) == [None, "x"]
    assert await connection.send(PING)
    with pytest.raises(UnreadableRecord):
        await connection.send(Call(None, ("HGET", "rq:queues", "x"), raw))
    await connection.close()


@pytest.fixture
async def listener(url):
    listener = Listener(Address.parse(url))
    yield listener
    await listener.close()


async def test_a_listener_hears_its_channels_and_no_others(listener, real):
    heard = []
    await listener.subscribe("a", lambda message: heard.append(("a", message)))
    await listener.subscribe("a", lambda message: heard.append(("again", message)))
    await listener.subscribe("b", lambda message: heard.append(("b", message)))
    for channel, message in (("a", "1"), ("c", "2"), ("b", "é|\n")):
        real.publish(channel, message)
    await until(lambda: len(heard) == 3)
    assert heard == [("a", "1"), ("again", "1"), ("b", "é|\n")]


async def test_a_listener_that_unsubscribed_hears_nothing_more(listener, real):
    heard = []
    await listener.subscribe("a", heard.append)
    listener.unsubscribe("a", heard.append)
    listener.unsubscribe("a", heard.append)
    await until(lambda: real.pubsub_channels() == [])
    await listener.subscribe("a", heard.append)
    real.publish("a", "x")
    await until(lambda: heard == ["x"])


async def test_a_listener_listens_again_after_its_connection_was_cut(listener, real, monkeypatch):
    """[C36]"""
    monkeypatch.setattr("stepflow.store.connection.pubsub._RECONNECT_S", 0.02)
    heard = []
    await listener.subscribe("a", heard.append)
    await listener.subscribe("b", heard.append)
    for number in range(2):
        real.client_kill_filter(_type="pubsub", skipme=True)
        await until(lambda: [count for _, count in real.pubsub_numsub("a", "b")] == [1, 1])
        real.publish("b", str(number))
        await until(lambda number=number: heard == [str(each) for each in range(number + 1)])


async def test_a_listener_without_a_server_does_not_hang(monkeypatch):
    monkeypatch.setattr("stepflow.store.connection.pubsub._RECONNECT_S", 0.01)
    listener = Listener(Address.parse("redis://127.0.0.1:1"))
    subscribing = asyncio.ensure_future(listener.subscribe("a", print))
    await asyncio.sleep(0.05)
    assert not subscribing.done()
    await listener.close()
    subscribing.cancel()

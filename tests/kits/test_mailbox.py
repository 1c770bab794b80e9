"""
A mailbox is bounded in bytes, searched by name without its payloads, and remembers what was sent,
up to a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stepflow import AsyncClient, Client, Context, RetryPolicy, Stepflow, Webhook
from stepflow.core.run import Run
from stepflow.errors import InvalidName, InvalidOption, MailboxFull, PayloadTooLarge, WebhookRefused
from stepflow.settings import LimitSettings, Settings
from stepflow.store.journal import LONG, load_sent, send_signal, take_signal
from stepflow.store.keys import Keys
from stepflow.store.values.codec import pack, unpack
from stepflow.testing import Harness

NOW = 1_800_000_000.0


@pytest.fixture
def run(redis_client: Any, keys: Keys) -> Iterator[Run]:
    """A run's record with a claim, and nothing else."""
    redis_client.hset(keys.run("a"), mapping={"rev": 1, "token": "t.1.", "queue": "default"})
    yield Run("a", "w", token="t.1.")
    redis_client.flushall()


def send(
    connection: Any,
    keys: Keys,
    run: Run,
    number: int,
    size: int,
    *,
    name: str = "s",
    most: int = 1 << 24,
) -> str:
    item = f"{name}|".encode() + pack("x" * size)
    return str(
        connection.call(send_signal(keys, run, f"d:{number}", item, now=NOW, most_bytes=most))
    )


def take(connection: Any, keys: Keys, index: int, *names: str) -> list[bytes]:
    found: list[bytes] = connection.call(
        take_signal(keys, "a", "t.1.", index, b"signal|0|s|1|", names)
    )
    return found


@pytest.mark.parametrize("size", [0, LONG - 10, LONG, 300_000])
def test_signals_of_any_size_are_taken_by_name_in_order_and_leave_nothing(
    connection, redis_client, keys, run, size
):
    """[B16]"""
    base, client = keys.run("a"), redis_client
    for number in range(3):
        assert (
            send(connection, keys, run, number, size, name="go" if number % 2 else "stop")
            == "delivered"
        )
    assert max(len(item) for item in client.lrange(f"{base}:mail", 0, -1)) <= LONG
    assert client.hget(base, "mailed") is not None
    taken = [
        take(connection, keys, index, *names)[1]
        for index, names in enumerate([("go",), ("go", "stop"), ("stop",)])
    ]
    assert [item.split(b"|", 1)[0] for item in taken] == [b"go", b"stop", b"stop"]
    assert {unpack(item.split(b"|", 1)[1]) for item in taken} == {"x" * size}
    assert take(connection, keys, 2, "stop")[1] == taken[2], (
        "sent twice, it is answered as the first time"
    )
    assert len(take(connection, keys, 3, "go", "stop")) == 1
    assert (client.exists(f"{base}:mail"), client.hget(base, "mailed")) == (0, None)
    assert not [field for field in client.hkeys(f"{base}:sent") if field.startswith(b"=")]
    assert client.lindex(f"{base}:journal", 0) == b"signal|0|s|1|" + taken[0]


@pytest.mark.parametrize("size", [100, 10_000])
def test_a_mailbox_takes_so_many_bytes_and_again_when_some_are_taken(
    connection, redis_client, keys, run, size
):
    """[B16] Was: bounded in count alone, a thousand signals of a megabyte were a gigabyte."""
    most = 5 * (size + 10)
    answers = [send(connection, keys, run, number, size, most=most) for number in range(6)]
    assert answers == ["delivered"] * 5 + ["heavy"]
    before = redis_client.hgetall(f"{keys.run('a')}:sent")
    assert send(connection, keys, run, 0, size, most=most) == "delivered", (
        "the same one again is answered as before"
    )
    assert redis_client.hgetall(f"{keys.run('a')}:sent") == before
    take(connection, keys, 0, "s")
    assert send(connection, keys, run, 5, size, most=most) == "delivered"


def test_only_the_newest_ids_of_signals_are_remembered(
    connection, redis_client, keys, run, monkeypatch
):
    """[B16] Was: they grew over restarts without end."""
    monkeypatch.setattr("stepflow.store.journal.SENT", 10)
    for number in range(35):
        send(connection, keys, run, number, 1)
        take(connection, keys, number, "s")
    known = [
        number
        for number in range(35)
        if connection.call(load_sent(keys, "a", f"d:{number}")) is not None
    ]
    assert known == list(range(25, 35))
    assert redis_client.hlen(f"{keys.run('a')}:sent") == 21
    send(connection, keys, run, 30, 1)
    assert redis_client.llen(f"{keys.run('a')}:mail") == 0


async def test_who_sends_too_many_bytes_is_told_which_bound_it_was(
    url, aclient: AsyncClient
) -> None:
    """[B16]"""
    run = await aclient.submit("anything")
    with Client(url, settings=Settings(limits=LimitSettings(mailbox_bytes=1000))) as client:
        assert client.signal(run.id, "s", "x" * 600) == "buffered"
        with pytest.raises(
            MailboxFull, match=r"is full: 1,000 bytes .* raise STEPFLOW_LIMITS_MAILBOX_BYTES"
        ):
            client.signal(run.id, "s", "x" * 600)
        assert client.signal(run.id, "s", "x" * 100) == "buffered"
    await run.cancel()


async def test_signals_of_a_megabyte_reach_a_workflow_across_a_restart_and_a_crash() -> None:
    """[B16]"""
    app = Stepflow("redis://nowhere.invalid")

    @app.workflow("reads")
    async def reads(ctx: Context, left: int) -> Any:
        said = await ctx.wait_for_signal("big", "small")
        return said if not left else await ctx.continue_as_new(left - 1)

    async with Harness(app) as h:
        run = await h.submit("reads", 2)
        h.crash_after("big,small")
        for text in ("a", "b"):
            await h.signal(run, "big", text * 1_000_000, dedup=text)
            await h.signal(run, "big", text * 1_000_000, dedup=text)
        await h.signal(run, "small", 1)
        assert await h.result(run) == 1


# ---- what is capped at the door

LONG_TEXT = "x" * 201


@pytest.mark.parametrize("dedup", [LONG_TEXT, "\ud800", "", 5])
async def test_an_id_of_a_signal_is_text_of_a_bounded_length(
    aclient: AsyncClient, dedup: Any
) -> None:
    """[B16]"""
    with pytest.raises(InvalidOption, match=r"dedup is .* use 1 to 200 characters, valid Unicode"):
        await aclient.signal("a", "go", dedup=dedup)


@pytest.mark.parametrize("name", ["x" * 101, "\ud800", "", "a b", 5, None])
async def test_so_is_its_name(aclient: AsyncClient, name: Any) -> None:
    """[B16] [B17]"""
    with pytest.raises(InvalidName):
        await aclient.signal("a", name)


@pytest.mark.parametrize("end", ["cancel", "fail"])
async def test_a_reason_over_ten_thousand_characters_is_cut_visibly(
    aclient: AsyncClient, end: str
) -> None:
    """[B16]"""
    run = await aclient.submit("anything")
    await getattr(aclient, end)(run.id, "\ud800" + "x" * 1_000_000)
    status = await run.status()
    assert status.reason.startswith("\\ud800x")
    assert status.reason.endswith("x … (cut)")
    assert len(status.reason) < 10_010


DOORS = {
    "prompt": lambda ctx: ctx.ask(bool, "x" * 10_001),
    "odd prompt": lambda ctx: ctx.ask(bool, "\ud800"),
    "schema": lambda ctx: ctx.ask({"const": "x" * 2_000_000}, "?"),
    "step": lambda ctx: ctx.step(LONG_TEXT, print),
    "odd step": lambda ctx: ctx.step("\ud800", print),
    "patched": lambda ctx: _now(ctx.patched(LONG_TEXT)),
    "variable": lambda ctx: ctx.vars.get("\ud800"),
    "session": lambda ctx: _now(ctx.session(LONG_TEXT)),
    "spawn": lambda ctx: ctx.spawn("a|b"),
    "odd spawn": lambda ctx: ctx.spawn("\ud800"),
    "map": lambda ctx: ctx.map("a|b", []),
    "signal": lambda ctx: ctx.wait_for_signal("\ud800"),
}


async def _now(value: Any) -> Any:
    return value


@pytest.mark.parametrize("door", DOORS)
async def test_names_prompts_and_schemas_of_a_workflow_are_bounded_and_valid_text(
    door: str,
) -> None:
    """[B16] [B17] A sentence, not a record that cannot be read."""
    app = Stepflow("redis://nowhere.invalid")

    @app.workflow("odd")
    async def odd(ctx: Context) -> None:
        await DOORS[door](ctx)

    async with Harness(app) as h:
        run = await h.submit("odd")
        status = await h.status(run)
        assert status.state == "failed"
        assert status.error.type in ("InvalidOption", "InvalidName", "PayloadTooLarge")
        assert len(status.error.message) < 1000


async def test_the_options_of_a_submit_are_bounded_together(aclient: AsyncClient) -> None:
    """[B16]"""
    with pytest.raises(PayloadTooLarge, match="the run's spec"):
        await aclient.submit("a", retry=RetryPolicy(retry_on=["x" * 2_000_000]))
    with pytest.raises(WebhookRefused, match="the limit is 8,192"):
        Webhook("https://example.com/" + "x" * 10_000)

"""A signal that starts its run, and one that takes the place of an earlier one."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import AsyncClient, Client, Context, RunSpec, Step, Stepflow, Succeed
from stepflow.core.run import RunState
from stepflow.errors import (
    InvalidOption,
    MailboxFull,
    RunConflict,
    RunNotFound,
    SignalRefused,
)
from stepflow.settings import LimitSettings, Settings
from stepflow.store.values.codec import unpack
from stepflow.testing import Harness, RecordingObserver
from tests.conftest import Working
from tests.support import until

CART = RunSpec("cart", {"user": 7}, tags={"user": "7"})


def names(client: Client, run_id: str = "c") -> list[tuple[str, Any]]:
    return [(mail.name, mail.payload) for mail in client.mailbox(run_id)]


def test_a_run_that_is_not_there_is_made_with_its_signal(client: Client, real) -> None:
    """[K23] In one script; the second signal is delivered to the run that is there."""
    assert client.signal("c", "add", 1, start=CART) == "started"
    run = client.status("c")
    assert (run.runner, run.payload, run.state, run.tags) == (
        "cart", {"user": 7}, RunState.PENDING, {"user": "7"},
    )  # fmt: skip
    assert client.signal("c", "add", 2, start=CART) == "buffered"
    assert client.signal("c", "add", 3, start=RunSpec("cart", {"user": 8})) == "buffered"
    assert names(client) == [("add", 1), ("add", 2), ("add", 3)]
    assert client.status("c").payload == {"user": 7}
    assert real.hget("stepflow:run:c", "inbox") == b"3"
    client.cancel("c")


async def test_the_workflow_gets_what_started_it(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[K23] Of many who send at once one starts it, and none of their signals is lost."""
    import asyncio

    @app.workflow
    async def cart(ctx: Context, user: int) -> list[int]:
        return sorted([await ctx.wait_for_signal("add") for _ in range(20)])

    async with working(app):
        spec = RunSpec("cart", 7)
        answers = await asyncio.gather(
            *(aclient.signal("c", "add", number, start=spec) for number in range(20))
        )
        assert answers.count("started") == 1
        assert await aclient.result("c", 60) == list(range(20))


@pytest.mark.parametrize("size", [10, 5000])
def test_a_signal_sent_again_under_its_id_starts_nothing(client: Client, size: int) -> None:
    """[K23] Neither while the run lives nor once it has ended, though it may be restarted."""
    spec = RunSpec("cart", 1, on_conflict="restart")
    for _ in range(2):
        assert client.signal("c", "add", "x" * size, dedup="order-1", start=spec) == "started"
    assert len(names(client)) == 1
    client.cancel("c")
    assert client.signal("c", "add", "x" * size, dedup="order-1", start=spec) == "started"
    assert client.status("c").state is RunState.CANCELLED
    assert client.signal("c", "add", 1, dedup="order-2", start=spec) == "started"
    run = client.status("c")
    assert (run.state, run.generation) == (RunState.PENDING, 1)
    assert names(client) == [("add", 1)]
    client.cancel("c")


def test_what_cannot_be_is_refused_in_words(client: Client) -> None:
    """[K23] And nothing is written."""
    with pytest.raises(RunNotFound):
        client.signal("c", "add")
    with pytest.raises(InvalidOption, match="leave run_id out"):
        client.signal("c", "add", start=RunSpec("cart", run_id="d"))
    with pytest.raises(InvalidOption, match="'all' or 'latest'"):
        client.signal("c", "add", keep="newest")
    assert client.status("c") is None
    client.signal("c", "add", start=CART)
    with pytest.raises(RunConflict, match="runner"):
        client.signal("c", "add", start=RunSpec("order"))
    client.cancel("c")
    with pytest.raises(SignalRefused):
        client.signal("c", "add", start=CART)


def test_latest_takes_the_place_of_those_that_are_not_taken(client: Client, real) -> None:
    """[K23] Of its name only, and at the end of the mailbox; the bytes are counted anew."""
    client.submit("cart", run_id="c")
    for value in (1, 2, "long" * 2000):
        client.signal("c", "price", value)
    client.signal("c", "note", "stays")
    client.signal("c", "price", 3, keep="latest")
    assert names(client) == [("note", "stays"), ("price", 3)]
    sizes = [len(item) for item in real.lrange("stepflow:run:c:mail", 0, -1)]
    assert int(real.hget("stepflow:run:c", "mailed")) == sum(sizes)
    kept = [name for name in real.hkeys("stepflow:run:c:sent") if name.startswith(b"=")]
    assert kept == []
    client.signal("c", "price", "long" * 3000, keep="latest")
    client.signal("c", "price", "more" * 3000, keep="latest")
    assert [name for name, _ in names(client)] == ["note", "price"]
    [kept] = [
        value for name, value in real.hgetall("stepflow:run:c:sent").items() if name[:1] == b"="
    ]
    assert unpack(kept) == "more" * 3000
    client.cancel("c")


def test_a_full_mailbox_takes_what_replaces_something(url: str, real) -> None:
    """[K23] What is refused leaves the earlier one where it is."""
    settings = Settings(limits=LimitSettings(mailbox_bytes=1000))
    with Client(url, settings=settings) as client:
        client.submit("cart", run_id="c")
        client.signal("c", "price", "a" * 600)
        with pytest.raises(MailboxFull):
            client.signal("c", "price", "b" * 600)
        assert client.signal("c", "price", "c" * 900, keep="latest") == "buffered"
        with pytest.raises(MailboxFull):
            client.signal("c", "price", "d" * 1100, keep="latest")
        [kept] = [
            value for name, value in real.hgetall("stepflow:run:c:sent").items() if name[:1] == b"="
        ]
        assert unpack(kept) == "c" * 900
        client.cancel("c")


def test_a_signal_like_before_asks_nothing_more(client: Client, real) -> None:
    """[K23] The same commands within the script, and none before or behind it."""
    client.submit("cart", run_id="c")
    client.submit("cart", run_id="d")
    client.signal("d", "price", 0)  # the server knows the script now
    with real.monitor() as monitor:
        client.signal("c", "price", 1)
        real.set("last", 1)
        said = []
        for command in monitor.listen():
            if command["command"] == "SET last 1":
                break
            if not command["command"].startswith("CLIENT"):
                said.append(command["command"].split()[0])
    real.delete("last")
    assert said == [
        "HGETALL", "HGET", "EVALSHA", "HMGET", "HGET", "LLEN", "HINCRBY", "RPUSH", "HINCRBY",
        "HINCRBY", "HGET", "HSET",
    ]  # fmt: skip
    client.cancel("c")


async def test_observers_and_the_harness_know_a_run_that_a_signal_started() -> None:
    """[K23]"""
    app = Stepflow("redis://unused")
    seen = app.observe(RecordingObserver())

    @app.workflow
    async def cart(ctx: Context, user: int) -> Any:
        return await ctx.wait_for_signal("add")

    async with Harness(app) as h:
        assert await h.signal("c", "add", 5, start=RunSpec(cart, 7)) == "started"  # type: ignore[arg-type]
        assert await h.result("c") == 5
    assert [(fact.run_id, fact.payload) for fact in seen.of("on_run_submitted")] == [("c", 7)]


async def test_a_runner_reads_its_mailbox_when_it_is_there(
    app: Stepflow, client: Client, working: Working
) -> None:
    """[K23] A runner without a mailbox of its own runs as ever."""

    @app.runner("plain")
    async def plain(step: Step[Any]) -> Any:
        return Succeed(step.payload)

    async with working(app):
        assert client.signal("p", "go", start=RunSpec("plain", 3)) == "started"
        await until(lambda: client.status("p").is_finished)
    assert client.status("p").result == 3

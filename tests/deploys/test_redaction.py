"""[U16] Redaction: blank values under keys, wherever they stand, that replay as those before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from stepflow import Context, Stepflow
from stepflow.engine.history import read_history, redact
from stepflow.kits.flow.replayer import check_history
from stepflow.store.values.codec import unpack

SECRET = "hunter2"


@dataclass
class Card:
    holder: str
    number: int
    expires: date
    limits: dict[str, Decimal]


async def pay(card: Card) -> Card:
    return card


async def plain(value: Any) -> Any:
    return value


@pytest.fixture
def shop(app: Stepflow) -> Stepflow:
    @app.workflow("pay")
    async def workflow(ctx: Context, order: dict[str, Any]) -> Any:
        card = await ctx.step(
            "card", pay, Card(SECRET, 4111, date(2030, 1, 2), {"daily": Decimal("9.5")})
        )
        token = await ctx.step("token", plain, SECRET)
        await ctx.vars.set("token", SECRET)
        await ctx.step("moment", plain, {"password": SECRET, "at": datetime.now(UTC)})
        word = await ctx.wait_for_signal("word")
        child = await ctx.spawn("child", {"password": SECRET})
        pages = await ctx.map("child", [{"password": SECRET}])
        return {"password": token, "holder": card.holder, "word": word, "all": [
            await child.result(), pages,
        ]}  # fmt: skip

    @app.workflow("child")
    async def child(ctx: Context, given: dict[str, Any]) -> Any:
        return given

    return app


KEYS = ("password", "holder", "token", "limits", "authorization", "secret")


async def test_nothing_of_a_secret_is_left_and_the_history_still_replays(shop, aclient, working):
    async with working(shop):
        run = await aclient.submit(
            "pay", {"items": [{"password": SECRET}], "secret": {"a": [SECRET, 7]}},
            headers={"authorization": SECRET, "tenant": "t1"},
        )  # fmt: skip
        await aclient.signal(run.id, "word", {"password": SECRET, "ok": True})
        await run.result(60)
        history = await aclient.history(run.id)
    assert SECRET in json.dumps(history)
    document = json.loads(json.dumps(redact(history, KEYS)))
    assert all(SECRET.encode() not in held for held in all_bytes(document))
    assert SECRET not in json.dumps(document)
    assert document["headers"] == {"authorization": "[redacted]", "tenant": "t1"}
    assert document["input"]["value"] == {
        "items": [{"password": "[redacted]"}],
        "secret": {"a": ["[redacted]", 0]},
    }
    assert await check_history(document, shop.registry) is None
    assert [entry.get("name") for entry in document["journal"]] == [
        entry.get("name") for entry in history["journal"]
    ]


def all_bytes(document: dict[str, Any]) -> list[bytes]:
    """Give what a history holds, as it would stand in Redis."""
    read = read_history(document)
    return [*read.journal, *read.answers.values(), repr(read.payload).encode()]


async def test_without_such_a_key_a_history_stays_byte_for_byte(shop, aclient, working):
    async with working(shop):
        run = await aclient.submit("pay", {"a": 1})
        await aclient.signal(run.id, "word", {"ok": True})
        await run.result(60)
        history = await aclient.history(run.id)
    assert redact(history, ["unknown"]) == history


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        7,
        True,
        1.5,
        None,
        b"raw",
        [SECRET, 7],
        (SECRET,),
        {SECRET},
        {"a": {"b": SECRET}},
        datetime.now(UTC),
        date(2030, 1, 1),
        timedelta(3),
        Decimal("1.5"),
        uuid4(),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_blank_value_has_the_type_of_the_one_before(value, app, aclient, working):
    @app.workflow("w")
    async def workflow(ctx: Context) -> None:
        await ctx.step("look", plain, {"key": value, "other": value})

    async with working(app):
        run = await aclient.submit("w")
        await run.result(60)
        history = await aclient.history(run.id)
    before, after = (
        unpack(read_history(document).journal[0].split(b"|", 4)[4])
        for document in (history, redact(history, ["key"]))
    )
    assert after["other"] == before["other"]
    assert type(after["key"]) is type(before["key"])
    assert value is None or after["key"] != before["key"]


async def test_what_cannot_be_read_and_may_hold_the_key_is_replaced_as_a_whole(
    app, aclient, working, real, keys
):
    @app.workflow("w")
    async def workflow(ctx: Context) -> None:
        await ctx.wait_for_signal("never")

    run = await aclient.submit("w")
    unreadable = b"\xc1password" + SECRET.encode()
    real.rpush(f"{keys.run(run.id)}:journal", b"value|0|look|1.000000|" + unreadable)
    real.rpush(f"{keys.run(run.id)}:journal", b"value|1|odd|1.0|" + unreadable, unreadable)
    history = await aclient.history(run.id)
    document = redact(history, ["password"])
    assert SECRET not in json.dumps(document)
    assert all(SECRET.encode() not in held for held in all_bytes(document))
    assert document["journal"][0]["name"] == "look"
    await aclient.cancel(run.id)

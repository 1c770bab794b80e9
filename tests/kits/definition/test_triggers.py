"""What begins runs of definitions besides a submit."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from stepflow import InvalidDefinition, InvalidOption, Stepflow
from stepflow.hooks.signature import signed_headers
from stepflow.hooks.webhook import Webhook
from stepflow.kits.definition.model import Definition
from stepflow.kits.definition.triggers.model import OnWebhook
from stepflow.kits.definition.triggers.webhook import Incoming
from stepflow.testing import Harness
from stepflow.web import triggers

SECRET = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
FLOW = """
name: {name}
steps:
  - {{id: a, kind: emit, input: {{data: "{{input}}"}}}}
triggers:
{triggers}
"""


@pytest.fixture
def load(app: Any, tmp_path: Any) -> Any:
    def load(app: Any = app, **flows: str) -> None:
        for name, given in flows.items():
            lines = "".join(f"  - {line}\n" for line in given.split("\n"))
            (tmp_path / f"{name}.yaml").write_text(FLOW.format(name=name, triggers=lines))
        app.definitions(tmp_path)

    return load


async def test_an_event_starts_all_that_match_once_for_its_id(
    app: Any, working: Any, load: Any
) -> None:
    """[D9] By topic and filter; the same id again starts nothing, also after an edit."""
    load(
        one="{on: event, topic: order.created, filter: event.total > 100, input: '{event.total}'}",
        two="{on: event, topic: order.*}",
        three="{on: event, topic: order.created, filter: event.none.such > 1}",
    )
    client = app.async_client
    async with working(app):
        ids = await client.publish("order.created", {"total": 200}, event_id="e1")
        assert [each.rpartition("-")[0] for each in ids] == ["one", "two"]
        assert [await client.result(each, 60) for each in ids] == [
            {"a": 200},
            {"a": {"total": 200}},
        ]
        assert await client.publish("order.created", {"total": 200}, event_id="e1") == ids
        assert len((await client.list()).runs) == 2
        [other] = await client.publish("order.created", {"total": 1}, event_id="e2")
        assert other.startswith("two-")
        assert await client.publish("payment.created", {"total": 200}) == []


async def test_an_event_is_a_signal_to_the_run_that_it_names(
    app: Any, working: Any, load: Any
) -> None:
    """[D9] Once for its id; where no such run is, it is nobody's."""
    load(
        one="{on: event, topic: paid, signal: paid, run: 'order-{event.id}', input: '{event.sum}'}"
    )

    @app.workflow("order")
    async def order(ctx: Any) -> list[Any]:
        first = await ctx.wait_for_signal("paid")
        return [first, await ctx.wait_for_signal("paid", timeout=0.2)]

    client = app.async_client
    async with working(app):
        run = await client.submit("order", run_id="order-7")
        for _ in range(2):
            assert await client.publish("paid", {"id": 7, "sum": 3}, event_id="e") == ["order-7"]
        assert await client.publish("paid", {"id": 8, "sum": 3}) == []
        assert await run.result(60) == [3, None]


async def test_a_message_goes_to_its_command_an_alias_or_the_catch_all(
    app: Any, working: Any, load: Any, tmp_path: Any
) -> None:
    """[D9] The same message again is the same run; a command that is taken is refused at load."""
    load(
        deploy="{on: message, command: /deploy, aliases: [/ship], input: '{event.args}'}",
        rest="{on: message, input: '{event.text}'}",
    )
    client = app.async_client
    async with working(app):
        for text, result in (
            ("/deploy now", "now"), ("/ship it  soon", "it  soon"), ("/deployed", "/deployed"),
            ("hello you", "hello you"),
        ):  # fmt: skip
            run = await client.message(text, message_id=text)
            assert await run.result(60) == {"a": result}
        again = await client.message("hello you", message_id="hello you")
        assert (again.id, again.created) == (run.id, False)
    with pytest.raises(InvalidDefinition) as caught:
        load(other="{on: message, command: /ship}\n{on: message}")
    assert [fault.partition("triggers")[2] for fault in caught.value.faults] == [
        "[0]: command '/ship' is taken by definition 'deploy'",
        "[1]: the catch-all is taken by definition 'rest'",
    ]
    bare = Stepflow("redis://localhost:1")
    bare.definitions()
    with pytest.raises(InvalidOption, match="no definition takes the message 'x'; commands: none"):
        bare.definitions().on_message("x", "1")


async def test_a_schedule_runs_the_definition_as_it_is(load: Any) -> None:
    """[D9] A definition whose schedule never comes is refused, and not loaded."""
    app = Stepflow("redis://localhost:1")
    load(app, often="{on: schedule, every: 1h, input: tick}")
    async with Harness(app) as h:
        await h.advance(timedelta(hours=2))
        runs = (await h.client.list()).runs
        assert [run.runner for run in runs] == ["definition"] * 2
        assert await h.result(runs[0].id) == {"a": "tick"}
    with pytest.raises(InvalidDefinition, match="triggers"):
        load(app, never="{on: schedule, cron: '0 0 30 2 *'}")
    assert set(app.definitions().known.definitions) == {"often"}


@pytest.mark.parametrize("secret", [SECRET + "YQ==", SECRET + "YQ"])
def test_a_secret_is_taken_with_and_without_the_padding_of_base64(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """[D9] A webhook takes both as a secret; a trigger refused, and a delivery failed on, one."""
    monkeypatch.setenv("HOOK_SECRET", secret)
    trigger = OnWebhook(on="webhook", path="a", auth="hmac", secret_env="HOOK_SECRET")
    definition = Definition(name="d", steps=[{"id": "a", "kind": "emit", "input": {"data": 1}}])
    now = datetime.now(UTC)
    hook = Webhook("https://example.org", secret=secret)
    headers = signed_headers(hook, "m1", b"{}", now)
    assert Incoming(definition, trigger).refusal(headers, b"{}", now.timestamp()) is None


def post(app: Any, path: str, **more: Any) -> Any:
    transport = httpx.ASGITransport(triggers(app.async_client))
    http = httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60)
    return http.request(more.pop("method", "POST"), path, **more)


def signed(body: bytes, name: str = "m1", at: float | None = None) -> dict[str, str]:
    now = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    return signed_headers(Webhook("https://example.org", secret=SECRET), name, body, now)


async def test_a_webhook_is_taken_by_its_signature_in_time_and_once(
    app: Any, working: Any, load: Any, monkeypatch: Any
) -> None:
    """[D9] It is answered at once, or with the result."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    load(
        hook="{on: webhook, path: github/push, auth: hmac, secret_env: HOOK_SECRET}",
        waits="{on: webhook, path: ask, auth: bearer, secret_env: HOOK_SECRET, wait: 60s,"
        " methods: [POST, GET], input: '{event.n}'}",
    )
    body = b'{"n": 1}'
    async with working(app):
        taken = await post(app, "/github/push", content=body, headers=signed(body))
        assert taken.status_code == 202
        assert await app.async_client.result(taken.json()["id"], 30) == {"a": {"n": 1}}
        again = await post(app, "/github/push", content=body, headers=signed(body))
        assert (again.status_code, again.json()) == (202, taken.json())
        old = signed(body, "m2", time.time() - 301)
        for headers, said in (
            (old, "too far from now"), (signed(b"{}", "m3"), "webhook-signature is wrong"),
            ({}, "no webhook-timestamp"),
        ):  # fmt: skip
            refused = await post(app, "/github/push", content=body, headers=headers)
            assert (refused.status_code, said in refused.json()["detail"]) == (401, True)
        token = {"authorization": f"Bearer {SECRET}"}
        asked = await post(app, "/ask", content=body, headers=token)
        assert (asked.status_code, asked.json()["result"]) == (200, {"a": 1})
        named = token | {"webhook-id": "m4"}
        first, second = [await post(app, "/ask", content=body, headers=named) for _ in range(2)]
        assert (first.status_code, first.json()) == (second.status_code, second.json())
        assert first.json()["result"] == {"a": 1}
        odd = await post(app, "/ask", content=b'{"n": 1e999}', headers=token)
        assert (odd.status_code, "larger than any number" in odd.json()["detail"]) == (400, True)
        by_query = await post(app, "/ask?n=2", method="GET", headers=token)
        assert by_query.json()["result"] == {"a": "2"}
        assert (await post(app, "/ask", headers={"authorization": "Bearer x"})).status_code == 401
        monkeypatch.setenv("HOOK_SECRET", "whsec_x")
        wrong = await post(app, "/github/push", content=body, headers=signed(body, "m9"))
        assert (wrong.status_code, wrong.json()["detail"]) == (
            401, "HOOK_SECRET of this server has no base64 after whsec_",
        )  # fmt: skip
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        assert (await post(app, "/nowhere", headers=token)).status_code == 404
        assert (await post(app, "/ask", method="PUT", headers=token)).status_code == 404
        bad = await post(app, "/ask", content=b"{", headers=token)
        assert bad.status_code == 400
        assert len((await app.async_client.list()).runs) == 4

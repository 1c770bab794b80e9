"""[U22] A run exported whole: all that is kept of it, in parts, for `check` as well."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stepflow import (
    AsyncClient,
    Client,
    Continue,
    RunNotFound,
    Step,
    Stepflow,
    Succeed,
    Webhook,
    emit,
)  # fmt: skip
from stepflow.cli.look.pieces import pieces
from stepflow.engine.history import redact
from stepflow.engine.timeline import whole
from stepflow.kits.flow.replayer import check_history
from tests.support import until

#: longer than what a mailbox holds itself
LONG = "x" * 2_000
SECRET = "hunter2"


def add_code(app: Stepflow) -> None:
    @app.runner("counts")
    async def counts(step: Step[int]) -> Any:
        emit({"n": step.number})
        return Continue(step.payload - 1) if step.payload else Succeed("done")

    @app.workflow("trip")
    async def trip(ctx: Any, given: Any) -> Any:
        await ctx.vars.set("password", SECRET)
        for number in range(6):
            await ctx.step(f"step {number}", len, [number])
        return await ctx.wait_for_signal("go")


def joined(parts: Any) -> dict[str, Any]:
    """Put the parts together as a program would that has read them all."""
    document: dict[str, Any] = json.loads("".join(pieces(parts, json.dumps)))
    return document


async def test_a_runner_is_exported_with_its_steps_its_output_and_its_hooks(
    app: Stepflow, aclient: AsyncClient, client: Client, working: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(whole, "PAGE", 4)
    add_code(app)
    hook = Webhook("https://example.com/?key=hidden", "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=")
    async with working(app):
        run = await aclient.submit("counts", 9, tags={"tenant": "acme"}, webhooks=[hook])
        await aclient.wait(run.id, timeout=60)
    parts = [part async for part in aclient.export(run.id)]
    assert max(len(part.get("steps", ())) for part in parts) == 4
    document = joined(parts)
    assert document["tags"] == {"tenant": "acme"}
    assert [step["number"] for step in document["steps"]] == list(range(10))
    assert {step["outcome"] for step in document["steps"]} == {"continue", "succeed"}
    assert [item["value"]["n"] for item in document["output"]] == list(range(10))
    [told] = document["hooks"]
    assert (told["run_id"], told["kind"]) == (run.id, "webhook")
    assert not any(word in json.dumps(document) for word in ("c2Vjc", "hidden"))
    assert "token" not in document["record"]
    history = await aclient.history(run.id)
    assert {name: document[name] for name in history} == history


async def test_a_workflow_is_exported_with_variables_and_signals_that_it_has_not_taken(
    app: Stepflow, aclient: AsyncClient, client: Client, working: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(whole, "PAGE", 4)
    add_code(app)
    async with working(app):
        run = await aclient.submit("trip", {"password": SECRET})
        await until(lambda: client.status(run.id).state == "waiting")
    await aclient.signal(run.id, "later", {"password": SECRET})
    await aclient.signal(run.id, "much", LONG)
    document = joined(client.export(run.id))
    history = client.history(run.id)
    assert {name: document[name] for name in history} == history
    assert len(document["journal"]) > 4
    assert document["vars"] == {"password": {"value": SECRET}}
    assert document["mailbox"] == [
        {"signal": "later", "value": {"password": SECRET}}, {"signal": "much", "value": LONG},
    ]  # fmt: skip
    assert await check_history(document, app.registry) is None
    redacted = joined(redact(part, ["password"]) for part in client.export(run.id))
    assert SECRET not in json.dumps(redacted)
    assert await check_history(redacted, app.registry) is None
    await aclient.cancel(run.id)


def test_what_is_not_there_is_said(client: Client) -> None:
    with pytest.raises(RunNotFound):
        next(client.export("unknown"))


@pytest.mark.parametrize(
    ("parts", "document"),
    [
        ([{"a": 1, "b": []}, {"c": {}}], {"a": 1, "b": [], "c": {}}),
        ([{"a": [1]}, {"a": []}, {"a": [2, 3]}], {"a": [1, 2, 3]}),
        ([{"a": []}, {"a": [1]}, {"b": [2]}, {"c": None}], {"a": [1], "b": [2], "c": None}),
    ],
)
def test_lists_in_parts_are_one_list(parts: Any, document: Any) -> None:
    assert joined(parts) == document

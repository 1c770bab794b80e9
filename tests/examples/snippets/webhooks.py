"""What the reader of docs/how-to/webhooks.md has at hand."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from stepflow import Step, Stepflow, Succeed, Webhook
from stepflow.hooks.signature import signed_headers

app = Stepflow()
NEW, OLD = (f"whsec_{letter * 32}" for letter in "nk")


@app.runner("order")
async def order(step: Step[Any]) -> Any:
    return Succeed("shipped")


async def check(h, space):
    await space["order_kite"]()
    [sent] = h.hooks
    assert sent.body["type"] == "run.succeeded"
    shown = {"run_id", "runner", "status", "result", "error", "reason", "headers", "final_step"}
    shown |= {"attempts", "generation", "end", "created_at", "started_at", "ended_at"}
    assert set(sent.body["data"]) == shown
    transport = httpx.ASGITransport(app=space["web"])
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:

        async def post(body: bytes = b'{"type": "x", "data": {"run_id": "a", "result": 1}}', **how):
            at = how.pop("at", datetime.now(UTC))
            hook = Webhook("https://shop.example.com/", NEW, previous_secret=OLD)
            headers = signed_headers(hook, "h1", how.pop("signed", body), at)
            return (await http.post("/stepflow", content=body, headers=headers)).status_code

        for secret in (NEW, OLD):  # the receiver may have either while the secret changes
            os.environ["SHOP_SECRET"] = secret
            assert await post() == 200
        assert space["seen"] == {"h1"}
        assert await post(signed=b"{}") == 401
        assert await post(at=datetime.now(UTC) - timedelta(minutes=6)) == 401
        os.environ["SHOP_SECRET"] = f"whsec_{'x' * 32}"
        assert await post() == 401
    del os.environ["SHOP_SECRET"]

"""What the reader of docs/how-to/progress.md has at hand."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from stepflow import AsyncClient, Context, Stepflow

app = Stepflow()


def fetch(url: str) -> str:
    return url


async def check(h, space):
    space["client"] = h.client
    await h.submit("import", ["a", "b"], run_id="pages")
    transport = httpx.ASGITransport(app=space["web"])
    async with httpx.AsyncClient(transport=transport, base_url="http://web") as browser:
        answer = await browser.get("/runs/pages/events")
    said = json.loads(answer.text.removeprefix("data: "))
    assert said == {"state": "succeeded", "total": 2, "done": 2}


__all__ = ["AsyncClient", "AsyncIterator", "Context", "FastAPI", "StreamingResponse", "asyncio"]

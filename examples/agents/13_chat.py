"""
A chat in the browser: answers come word by word, and stay right when a worker dies meanwhile.

    python examples/agents/13_chat.py    # open http://127.0.0.1:8000/kites, and kill -9 a worker
"""

import asyncio
import json
import os
import random
import subprocess
import sys
from dataclasses import asdict

import uvicorn
from fastapi import FastAPI, Request, Response, responses
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel

from stepflow import AsyncClient, Stepflow
from stepflow.agents.pydantic_ai import Durable
from stepflow.agents.streams import caught_up

app, client, site = Stepflow(), AsyncClient(), FastAPI()


async def model(messages, _):  # a script that never says the same twice: put a real one here
    for word in random.choices(["moon ", "sea ", "wind ", "kite ", "tide ", "sun "], k=30):
        yield await asyncio.sleep(0.05, word)


durable = Durable(stream=True)
app.chat("guide", Agent(FunctionModel(stream_function=model), name="guide", capabilities=[durable]))


@site.get("/{chat}")
async def page(chat: str):
    return responses.FileResponse("examples/agents/13_chat.html")


@site.post("/{chat}")
async def say(chat: str, request: Request):
    await client.say(chat, (await request.body()).decode(), chat="guide")


@site.get("/{chat}/output")
async def output(chat: str, request: Request):
    if await client.status(chat) is None:  # nobody has said anything yet
        return Response(status_code=204)
    seen = caught_up(client, chat, after=request.headers.get("last-event-id"))
    sent = (f"id: {e.id}\nevent: {e.kind}\ndata: {json.dumps(asdict(e))}\n\n" async for e in seen)
    return responses.StreamingResponse(sent, media_type="text/event-stream")


if __name__ == "__main__":
    command = f"{sys.executable} -m stepflow worker examples.agents.13_chat:app --processes 2"
    with subprocess.Popen(command.split()) as workers:
        uvicorn.run(site, port=int(os.environ.get("PORT", "8000")), timeout_graceful_shutdown=1)
        workers.terminate()

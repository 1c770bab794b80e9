"""
Agents: a stop to the closed connection of the provider, a token to its reader, a unit, a turn.

A unit is a model request or a tool call. The provider is a server on loopback, in this process.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from pydantic_ai.messages import ModelMessagesTypeAdapter

from benchmarks.ground import Ground
from benchmarks.workloads.agents.app import ROUNDS
from stepflow import OutputItem
from stepflow.agents.chat import read_turns
from tests.agents.fake_openai import FakeOpenAI, Text, Words

APP = "benchmarks.workloads.agents.app:app"
#: seconds between two words of the model
APART_S = 0.01
#: units of a run of `durable`
UNITS = 2 * ROUNDS + 1


def stops(ground: Ground, provider: FakeOpenAI, n: int) -> list[float]:
    """From the call of cancel until the provider sees its connection closed, in ms."""
    provider.reply(Text("word " * 10_000, pace_s=APART_S))
    found = []
    for at in range(n):
        run = ground.client.submit("talk", "talk")
        provider.wait_for(lambda at=at: len(provider.calls) > at and provider.calls[at].output > 5)
        began = time.monotonic()
        ground.client.cancel(run.id)
        provider.wait_for(lambda at=at: provider.calls[at].is_over)
        gone_at = provider.calls[at].gone_at
        assert gone_at is not None
        found.append((gone_at - began) * 1e3)
        run.wait(30)
    return found


def tokens(ground: Ground, provider: FakeOpenAI, n: int) -> list[float]:
    """From the provider to a reader of the run's output, in ms."""
    provider.reply(Words(n, lambda: f"{time.time()!r} ", pace_s=APART_S))
    run = ground.client.submit("talk", "talk")
    return [
        (time.time() - float(event.data["add"])) * 1e3
        for event in run.output()
        if isinstance(event, OutputItem) and event.data.get("add", "").strip()
    ]


def units(ground: Ground, provider: FakeOpenAI, n: int) -> list[float]:
    """What durability costs a unit, in ms: a durable run less the same agent in one step."""
    del provider
    found = []
    for _ in range(n):
        began = time.perf_counter()
        ground.client.submit("durable", "go").result(60)
        took_ms = (time.perf_counter() - began) * 1e3
        found.append((took_ms - ground.client.submit("plain").result(60)) / UNITS)
    return found


def turns(ground: Ground, provider: FakeOpenAI, n: int) -> list[float]:
    """From a word said in a conversation to its answer, in ms; the model takes no time."""
    del provider
    found, client = [], ground.client
    client.say("c", "warm up", chat="chat")
    answers = (event for event in client.output("c", topics=["chat"]))
    next(answers)
    for turn in range(n):
        began = time.perf_counter()
        client.say("c", f"word {turn:05} " * 20)
        next(answers)
        found.append((time.perf_counter() - began) * 1e3)
    return found


def growth(ground: Ground, lat: list[float]) -> dict[str, float]:
    """Compare the last turns with the first, and what Redis holds with the messages."""
    tenth = len(lat) // 10
    early, late = statistics.median(lat[:tenth]), statistics.median(lat[-tenth:])
    messages = len(ModelMessagesTypeAdapter.dump_json(read_turns(ground.client.vars("c"))))
    keys = [*ground.redis.scan_iter("stepflow:run:c"), *ground.redis.scan_iter("stepflow:run:c:*")]
    held = sum(ground.redis.memory_usage(key, samples=0) for key in keys)
    return {"relative_cost": late / early, "relative_bytes": held / messages}


#: each with how many samples it takes
VARIANTS: dict[str, tuple[Callable[[Ground, FakeOpenAI, int], list[float]], int]] = {
    "stop": (stops, 100),
    "token": (tokens, 500),
    "unit": (units, 50),
    "turn": (turns, 1000),
}


def main() -> None:
    """Measure and print one line: `--variant stop`, `token`, `unit` or `turn`."""
    ground = Ground.of("agents", variant="stop")
    kind, size = VARIANTS[ground.args.variant]

    def once(_: int) -> dict[str, Any]:
        ground.clean()
        with (
            FakeOpenAI() as provider,
            ground.idle_worker(app=APP, env={"PROVIDER": provider.url}),
        ):
            ground.client.submit("talk", "warm up").result(60)
            provider.calls.clear()
            lat = kind(ground, provider, ground.args.n or size)
            figures = growth(ground, lat) if kind is turns else {}
        return {"seconds": sum(lat) / 1e3, "n": len(lat), "lat_ms": lat, "figures": figures}

    ground.measure(once, "pydantic-ai, a provider on loopback")


if __name__ == "__main__":
    main()

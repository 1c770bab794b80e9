"""
A worker carries out all kinds of agents for long, and keeps nothing of them.

AGENT_SOAK_S seconds, 40 by default.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from stepflow import AsyncClient, QuestionClosed, QuestionNotFound
from tests.agents.fake_openai import FakeOpenAI, Text, ToolCalls, TooMany
from tests.support import until

pytestmark = pytest.mark.crash

SECONDS = float(os.environ.get("AGENT_SOAK_S", "40"))
#: runs that are under way at most
AT_ONCE = 20
#: MB that the last third of the time may have more than the one before
MOST_MB = 6.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What a worker has: memory in MB, threads, open files, tasks, activations."""

    rss_mb: float
    threads: int
    files: int
    tasks: int
    activations: int


async def sample(client: AsyncClient) -> Sample:
    """Count in the worker, and in what the kernel knows of it."""
    found = await (await client.submit("census")).result(60)
    proc = Path(f"/proc/{found['pid']}")
    pages = int((proc / "statm").read_text().split()[1])
    return Sample(
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(list((proc / "task").iterdir())),
        len(list((proc / "fd").iterdir())), found["tasks"], found["activations"],
    )  # fmt: skip


class Crowd:
    """Submits runs of all kinds, answers their questions, talks to chats, and cancels some."""

    def __init__(self, client: AsyncClient) -> None:
        self.client, self.dice = client, random.Random(8)
        self.live: dict[str, str] = {}
        self.begun: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()

    async def go_on(self) -> None:
        """Do a little of everything."""
        client, dice = self.client, self.dice
        while len(self.live) < AT_ONCE:
            kind = dice.choice(("clerk", "team", "talker", "cashier", "caller", "caller"))
            run = await client.submit(kind, 2 if kind == "team" else "go")
            self.live[run.id] = kind
            self.begun[kind] += 1
        await self.answer(lambda: dice.random() < 0.7)
        if dice.random() < 0.3:  # a turn takes longer than this does
            await client.say(f"chat-{dice.randrange(3)}", "go on", chat="chat")
            self.begun["word"] += 1
        if dice.random() < 0.2:
            await client.cancel(dice.choice([*self.live]))
        await self.take_ended()

    async def answer(self, decide: Callable[[], bool]) -> None:
        """Answer what is asked; the run of one that is closed was cancelled meanwhile."""
        for question in await self.client.questions():
            with suppress(QuestionClosed, QuestionNotFound):
                await self.client.answer(question.token, decide())

    async def take_ended(self) -> None:
        """Forget the runs that have ended."""
        for run_id in [*self.live]:
            status = await self.client.status(run_id)
            assert status is not None
            if status.is_finished:
                self.ends[f"{self.live.pop(run_id)} {status.state}"] += 1


async def test_a_worker_keeps_nothing_of_agents_that_have_ended(make_cluster) -> None:
    """[A2] [A7] Streams that are cut and cancelled, tools, questions, chats, children, refusals."""
    replies = [
        Text("one two three " * 20, pace_s=0.005), Text("cut off", cut_after=1),
        TooMany(retry_after_s=0.05), ToolCalls(()),
    ]  # fmt: skip
    with FakeOpenAI(*replies * 5_000) as provider:
        cluster = make_cluster(appendfsync="no", PROVIDER=provider.url)
        worker = cluster.worker(
            "--app", "tests.crash.agents.soak:app", "--concurrency", "50", ready=False
        )
        worker.has_said("listens to")
        async with AsyncClient(cluster.server.url, settings=cluster.settings) as client:
            crowd, samples = Crowd(client), list[Sample]()
            ends_at = time.monotonic() + SECONDS
            while time.monotonic() < ends_at:
                for _ in range(10):
                    await crowd.go_on()
                    await asyncio.sleep(0.02)
                samples.append(await sample(client))
            for number in range(3):
                await client.cancel(f"chat-{number}")

            async def is_over() -> bool:
                await crowd.take_ended()
                await crowd.answer(lambda: False)
                return not crowd.live

            await until(is_over)

            files = max(each.files for each in samples[: len(samples) // 3]) + 4

            async def is_at_rest() -> bool:
                end = await sample(client)
                return end.activations <= 10 and end.files <= files

            await until(is_at_rest, f"no more than 10 activations and {files} files")
    print(f"{SECONDS:g} s: begun {dict(crowd.begun)}, ended {dict(crowd.ends)}")
    check(samples)


def check(samples: Sequence[Sample]) -> None:
    """Compare the middle third of the samples with the last."""
    third = len(samples) // 3
    first, middle, late = samples[:third], samples[third : 2 * third], samples[2 * third :]

    def median(part: Sequence[Sample], what: Callable[[Sample], float]) -> float:
        return statistics.median(map(what, part))

    for part in (first, middle, late):
        print(*(f"{name} {median(part, lambda s, n=name: getattr(s, n)):.1f}"
                for name in Sample.__slots__))  # fmt: skip
    for name, most in (("rss_mb", MOST_MB), ("threads", 2), ("files", 8), ("tasks", 40)):
        grown = median(late, lambda s, n=name: getattr(s, n)) - median(
            middle, lambda s, n=name: getattr(s, n)
        )
        assert grown <= most, (name, grown)

"""
Workers are killed while models talk, and readers drop their connections and come back.

AGENT_STREAM_KILLS and AGENT_STREAM_READERS make it larger: 50 and 100.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time

import pytest

from stepflow import AsyncClient, OutputReset, OutputView, RunSpec
from stepflow.agents.streams import assemble, caught_up
from tests.crash.support.checker import nothing_left_over
from tests.crash.support.killing import pids_at_work

pytestmark = pytest.mark.crash

KILLS = int(os.environ.get("AGENT_STREAM_KILLS", "3"))
READERS = int(os.environ.get("AGENT_STREAM_READERS", "20"))
#: readers of each run
AT_ONCE = 5
#: turns of each run one after the other; two more come at once
TURNS = 2


class Reader:
    """Reads to the end, over connections that it drops after a few events, and comes back late."""

    def __init__(self, number: int) -> None:
        self.dice = random.Random(number)
        self.view, self.drops, self.resets = OutputView(), 0, 0

    async def read(self, client: AsyncClient, run_id: str) -> list[str]:
        """Give what stands there in the end, as the workflow's result has it."""
        after = None
        while self.view.state is None:
            left = self.dice.choice((1, 2, 10, 100))
            async for event in caught_up(client, run_id, after=after):
                self.view.apply(event)
                self.resets += isinstance(event, OutputReset)
                after, left = event.id, left - 1
                if not left or self.view.state:
                    break
            self.drops += 1
            await asyncio.sleep(self.dice.random() / 2)
        answers = assemble(self.view.items)
        calls = [call.args for answer in answers for call in answer.tool_calls]
        return sorted([*(answer.text for answer in answers if answer.text), *calls])


async def test_readers_that_drop_show_what_counts_though_workers_are_killed(make_cluster):
    """[A13] Exactly, each of them."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1, STEPFLOW_WORKER_MAX_CRASHES=1000)
    count = max(2, READERS // AT_ONCE)
    nest = cluster.spawn(  # whose workers share the runs, so each kill is one of some runs
        sys.executable, "-m", "tests.crash.agents.nest",
        "2", "tests.crash.agents.narrator:app", str(count // 2),
    )  # fmt: skip
    nest.has_said("listens to")
    dice, killed = random.Random(13), set[int]()
    next_kill = time.monotonic() + 0.5

    def attack() -> None:
        nonlocal next_kill
        if time.monotonic() < next_kill or len(killed) >= KILLS:
            return
        busy = pids_at_work(cluster) - killed
        if not busy:
            return
        pid = dice.choice(sorted(busy))
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)
        next_kill = time.monotonic() + 0.8

    # a kill costs a run a turn, and the attack is to last as long as it has kills left
    turns = TURNS + KILLS // 4
    runs = cluster.submit(RunSpec("narrate", turns, run_id=f"n-{n}") for n in range(count))
    async with AsyncClient(cluster.server.url, settings=cluster.settings) as client:
        readers = [Reader(number) for number in range(READERS)]
        reading = [
            asyncio.create_task(reader.read(client, runs[number % len(runs)]))
            for number, reader in enumerate(readers)
        ]
        await asyncio.to_thread(cluster.all_ended, runs, attack)
        shown = await asyncio.gather(*reading)
        for number, texts in enumerate(shown):
            status = await client.status(runs[number % len(runs)])
            assert status is not None
            assert texts == status.result, number
    drops, resets = sum(r.drops for r in readers), sum(r.resets for r in readers)
    print(f"{len(killed)} kills, {READERS} readers: {drops} connections, {resets} resets")
    assert len(killed) >= min(KILLS, 2)
    assert resets, "no kill cost a word: the attack missed"
    nothing_left_over(cluster)

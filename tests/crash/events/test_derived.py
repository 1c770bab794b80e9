"""Events of runs whose workers are killed: a reader that is cut is told each one once, in order."""

import asyncio
import random
from collections import Counter

import pytest

from stepflow import AsyncClient, Event, EventType, RunSpec
from tests.crash.support.killing import Killer

pytestmark = pytest.mark.crash

APP = ("--app", "tests.crash.support.talk:app", "--concurrency", "40")
#: runs of each kind, steps of a chain, steps of each of eight branches
RUNS, CHAIN, BRANCH = 40, 120, 12


async def cut_reader(client: AsyncClient, run_id: str, dice: random.Random) -> list[Event]:
    """Read to the end over connections that are cut now and then."""
    found: list[Event] = []
    while not found or found[-1].type is not EventType.ENDED:
        left = dice.randrange(1, 60)
        async for event in client.events(run_id, after=found[-1].id if found else None):
            found.append(event)
            left -= 1
            if not left:
                break
    return found


def shown(event: Event) -> tuple[object, ...]:
    return event.type, event.at, tuple(sorted(map(str, event.details.items())))


async def test_a_reader_that_is_cut_is_told_each_event_once_though_workers_are_killed(make_cluster):
    """[E2] Chains, eight branches, retries, a worker killed each second: 10,000 events."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    killer = Killer(cluster, *APP, seed=31, most=10, pause_s=1.0)
    runs = cluster.submit(
        RunSpec("branches", BRANCH, run_id=f"e-{n}") if n % 2 else
        RunSpec("long", CHAIN, run_id=f"e-{n}")
        for n in range(2 * RUNS)
    )  # fmt: skip
    async with AsyncClient(cluster.server.url, settings=cluster.settings) as client:
        reading = [
            asyncio.create_task(cut_reader(client, run_id, random.Random(run_id)))
            for run_id in runs
        ]
        await asyncio.to_thread(cluster.all_ended, runs, killer)
        told = await asyncio.gather(*reading)
        assert killer.kills >= 4
        for number, (run_id, live) in enumerate(zip(runs, told, strict=True)):
            late = [event async for event in client.events(run_id)]
            assert Counter(map(shown, live)) == Counter(map(shown, late)), run_id
            kinds = Counter(event.type for event in live)
            assert (kinds[EventType.SUBMITTED], kinds[EventType.ENDED]) == (1, 1)
            for events in (live, late):
                if number % 2:
                    names = Counter(
                        event.details["step"]
                        for event in events
                        if event.type is EventType.STEP_DONE
                    )
                    assert names == Counter(f"b{k}-{n}" for k in range(8) for n in range(BRANCH)), (
                        run_id
                    )
                else:
                    closed = [
                        event.details["step"]
                        for event in events
                        if event.type is EventType.STEP_CLOSED
                    ]
                    assert closed == list(range(CHAIN)), run_id
    everything = Counter(event.type for events in told for event in events)
    assert everything.total() > 9000
    assert everything[EventType.ATTEMPT_LOST] > 0, "no kill cost a step: the attack missed"
    assert everything[EventType.ATTEMPT_FAILED] > 100

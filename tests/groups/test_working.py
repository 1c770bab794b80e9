"""[K6] [K7] Groups with workers: begun, counted and ended by them, awaited, told of by webhooks."""

import asyncio

import pytest

from stepflow import Continue, Fail, GroupNotFound, RunSpec, Step, Succeed, Webhook
from stepflow.engine.groups.manifest import make_manifest
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.groups.moves import write_slice
from stepflow.store.groups.record import write_members, write_names
from stepflow.store.query import index_size, list_length
from stepflow.testing import RecordingObserver
from tests.crash.support.receiver import SECRET
from tests.hooks.receiver import Receiver
from tests.support import until


@pytest.fixture
def etl(app):
    """Ends at once, or after two steps, or fails."""

    @app.runner("etl")
    async def etl(step: Step[int]):
        if step.payload < 0:
            raise ValueError(step.payload)
        if step.number == 0 and step.payload % 2:
            return Continue(step.payload)
        return Succeed(step.payload)

    return etl


def members(runner, count):
    return {f"k{number}": RunSpec(runner, number) for number in range(count)}


async def test_workers_run_a_group_to_its_end(app, working, aclient, etl):
    async with working(app):
        made = await aclient.groups.submit("g", members("etl", 20))
        info = await aclient.groups.wait("g", timeout=60)
    assert (made.total, info.state, info.succeeded) == (20, "succeeded", 20)
    assert [each.id for each in await aclient.groups.list()] == ["g"]
    assert await aclient.groups.forget("g")


async def test_whoever_waits_hears_of_the_end_at_once(app, working, client, etl, monkeypatch):
    monkeypatch.setattr("stepflow.client.groups.SAFETY_NET_S", 60.0)
    async with working(app):
        client.groups.submit("g", members(etl, 3))
        info = await asyncio.to_thread(client.groups.wait, "g", timeout=10)
    assert info.state == "succeeded"


async def test_waiting_has_an_end(client, aclient, app):
    client.groups.submit("g", members("etl", 2))
    with pytest.raises(TimeoutError, match="0 of its 2 members have ended"):
        client.groups.wait("g", timeout=0.01)
    with pytest.raises(TimeoutError, match="still running"):
        await aclient.groups.wait("g", timeout=0.01)
    with pytest.raises(GroupNotFound):
        client.groups.wait("h", timeout=0.01)
    client.groups.cancel("g")


def left_by_a_client(client, specs, written=None):
    """Write a manifest, all of it or some slices, and begin nothing."""
    manifest = make_manifest("g", specs, specs, None, (), client.env)
    connection: SyncConnection = client.connection
    for at, (first, part) in enumerate(manifest.slices[:written]):
        name = write_names([(member.key, digest) for digest, member in part])
        spec = write_members(first, [member for _, member in part])
        call = write_slice(client.env.keys, manifest.group, at, name, spec, ttl_s=9, due_at=1)
        connection.call(call)
    return manifest


@pytest.mark.crash
async def test_what_a_client_left_unfinished_a_worker_begins(app, working, client, etl):
    """[K6] The client was killed when the manifest was written, and had begun nothing."""
    left_by_a_client(client, members("etl", 1200))
    assert client.groups.status("g").waiting == 1200
    async with working(app):
        await until(lambda: client.groups.status("g").state == "succeeded")
    assert client.groups.status("g").succeeded == 1200


@pytest.mark.crash
def test_a_manifest_that_was_left_unfinished_is_gone_on_with(client):
    """[K6] The slices that are there are not written again; the rest begins with them."""
    specs = members("etl", 1200)
    left_by_a_client(client, specs, written=2)
    assert client.groups.status("g").state == "writing"
    assert client.connection.call(_names(client)) == 2
    assert client.groups.list() == []
    info = client.groups.submit("g", specs)
    assert (info.live, info.waiting) == (1200, 0)
    assert client.connection.call(_names(client)) == 3
    client.groups.cancel("g")


def _names(client):
    return list_length(f"{client.env.keys.group('g')}:names")


def test_a_slice_of_large_members_is_a_shorter_one(client):
    specs = {f"k{number}": RunSpec("etl", "x" * 300_000) for number in range(7)}
    manifest = make_manifest("g", specs, specs, None, (), client.env)
    assert [(first, len(part)) for first, part in manifest.slices] == [(0, 3), (3, 3), (6, 1)]


async def test_a_webhook_is_told_of_each_end_once(app, working, client):
    """[K7]"""
    is_fixed = False

    @app.runner("may-fail")
    async def may_fail(step: Step[int]):
        if step.payload == 1 and not is_fixed:
            return Fail("not yet")
        return Succeed()

    async with Receiver() as receiver, working(app):
        hook = Webhook(receiver.url, SECRET)
        client.groups.submit("g", members("may-fail", 3), webhooks=[hook])
        await receiver.arrived(1)
        is_fixed = True
        assert client.groups.retry_failed("g") == 1
        await receiver.arrived(2)
        await until(lambda: client.connection.call(index_size(client.env.keys.live_hooks)) == 0)
    first, second = (each.verified(SECRET) for each in receiver.got)
    assert (first["type"], second["type"]) == ("group.failed", "group.succeeded")
    assert first["data"]["group_id"] == "g"
    assert first["data"]["counts"]["failed"] == 1
    assert second["data"]["end"] == 2
    assert [each.headers["webhook-id"] for each in receiver.got] == ["g----1-0", "g----2-0"]


async def test_runs_of_no_group_touch_no_key_of_groups(app, working, client, etl, real):
    """[K7] All that a worker and a client say to the server, from a worker's start to its end."""
    with real.monitor() as monitor:
        async with working(app):
            for number in range(5):
                client.submit("etl", number, run_id=f"r{number}", delay=0.01)
            await until(lambda: len(client.list(state="succeeded").runs) == 5)
            client.cancel(client.submit("etl", 1, delay=100).id)
        real.set("last", 1)
        said = []
        for command in monitor.listen():
            said.append(command["command"])
            if command["command"] == "SET last 1":
                break
    real.delete("last")
    assert len(said) > 10
    assert [line for line in said if "stepflow:group" in line] == []


@pytest.mark.crash
def test_counting_costs_the_same_with_many_members(client, real):
    """[K7] Reading the counts, and counting one end: as many calls in the server."""
    costs = []
    for count in (1, 10, 1000):
        group_id = f"g{count}"
        client.groups.submit(group_id, members("etl", count) | members("etl", 2))
        with real.monitor() as monitor:
            client.groups.list(limit=1)
            client.cancel(f"{group_id}--k0")
            real.set("last", 1)
            costs.append(0)
            for command in monitor.listen():
                costs[-1] += 1
                if command["command"] == "SET last 1":
                    break
        real.delete("last")
        client.groups.cancel(group_id)
    assert costs[1] == costs[2]
    assert costs[1] < 50


def test_observers_are_told_of_the_members_once(app, client):
    seen = app.observe(RecordingObserver())
    for _ in range(2):
        app.client.groups.submit("g", members("etl", 3))
    assert [told.run_id for told in seen.of("on_run_submitted")] == [
        "g--k0", "g--k1", "g--k2",
    ]  # fmt: skip
    client.groups.cancel("g")


def test_why_says_of_a_member_what_it_says_of_any_run(client):
    client.groups.submit("g", members("etl", 2))
    assert client.why("g--k0").code == "queued.no_worker"
    client.groups.cancel("g", "wrong input")
    assert "wrong input" in client.why("g--k0").sentence

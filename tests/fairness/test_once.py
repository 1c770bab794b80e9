"""Singletons and debounced runs: one run for many submits."""

import asyncio

import pytest

from stepflow import (
    Debounce,
    InvalidOption,
    PermanentError,
    RunSpec,
    Singleton,
    SingletonTaken,
    Step,
    Succeed,
)
from tests.support import until


@pytest.fixture
def go():
    return asyncio.Event()


@pytest.fixture
def seen(app, go):
    """The payloads that steps got, in order; a step waits for *go*."""
    payloads: list[object] = []

    @app.runner("sync")
    async def sync(step: Step[object]):
        payloads.append(step.payload)
        if step.payload == "bad":
            raise PermanentError
        while not go.is_set() and not step.cancel.is_set:
            await asyncio.sleep(0.005)
        return Succeed(step.payload)

    return payloads


async def test_while_one_lives_the_same_key_is_the_same_run(app, aclient, working, seen, go, real):
    """[L18] Whatever its input, from its submit to its end."""
    first = await aclient.submit("sync", 1, singleton="shop")
    again = await aclient.submit("sync", 2, singleton="shop")
    other = await aclient.submit("sync", 3, singleton="other")
    assert (again.id, again.created) == (first.id, False)
    assert other.created
    async with working(app):
        await until(lambda: len(seen) == 2)
        assert (await aclient.submit("sync", 4, singleton="shop")).id == first.id
        go.set()
        await first.wait(60)
        await other.wait(60)
        assert not list(real.scan_iter("stepflow:once:*"))
        later = await aclient.submit("sync", 5, singleton="shop")
        assert later.created
        await later.wait(60)
    assert sorted(seen) == [1, 3, 5]


async def test_of_many_concurrent_submits_one_makes_the_run(aclient):
    """[L18]"""
    handles = await asyncio.gather(
        *[aclient.submit("sync", number, singleton="k") for number in range(50)]
    )
    assert len({handle.id for handle in handles}) == 1
    assert sum(handle.created for handle in handles) == 1
    await handles[0].cancel()


async def test_a_submit_may_ask_to_be_refused(aclient):
    """[L18] The error names the run; nothing is written."""
    first = await aclient.submit("sync", 1, singleton="k")
    with pytest.raises(SingletonTaken, match="lives and has singleton 'k'") as told:
        await aclient.submit("sync", 2, singleton=Singleton("k", "refuse"))
    assert told.value.run_id == first.id
    await first.cancel()
    free = await aclient.submit("sync", 2, singleton=Singleton("k", "refuse"))
    await free.cancel()


async def test_a_submit_may_take_the_place_of_the_one_that_lives(app, aclient, working, seen, go):
    """[L18] That one is cancelled, waiting or running, with the reason; its end frees no key."""
    waits = await aclient.submit("sync", 1, singleton="k")
    runs = await aclient.submit("sync", 2, singleton=Singleton("k", "replace"))
    assert (await waits.status()).state == "cancelled"
    assert runs.id in (await waits.status()).reason
    async with working(app):
        await until(lambda: seen == [2])
        last = await aclient.submit("sync", 3, singleton=Singleton("k", "replace"))
        assert (await runs.wait(60)).state == "cancelled"
        assert (await aclient.submit("sync", 4, singleton="k")).id == last.id
        go.set()
        assert await last.result(60) == 3


async def test_an_end_that_nobody_told_of_frees_the_key(aclient, real):
    """[L18] As when a worker of the version before ends the run, or its record is gone."""
    first = await aclient.submit("sync", 1, singleton="k")
    await first.cancel()
    real.set("stepflow:once:singleton:k", first.id)
    second = await aclient.submit("sync", 2, singleton="k")
    assert second.created
    await second.cancel()
    real.set("stepflow:once:singleton:k", "gone")
    third = await aclient.submit("sync", 3, singleton="k")
    assert third.created
    await third.cancel()


async def test_a_retry_by_hand_takes_the_key_if_it_is_free(app, aclient, working, seen, go, real):
    """[L18]"""
    async with working(app):
        failed = await aclient.submit("sync", "bad", singleton="k")
        await failed.wait(60)
    await aclient.retry(failed.id)
    assert (await aclient.submit("sync", 2, singleton="k")).id == failed.id
    await aclient.cancel(failed.id)
    assert not real.exists("stepflow:once:singleton:k")


async def test_a_restart_of_the_same_id_keeps_its_key(app, aclient, working, seen, go):
    """[L18]"""
    go.set()
    async with working(app):
        first = await aclient.submit("sync", 1, run_id="a", singleton="k")
        await first.wait(60)
        again = await aclient.submit("sync", 2, run_id="a", singleton="k", on_conflict="restart")
        assert again.created
        assert await again.result(60) == 2


async def test_many_submits_are_one_run_with_the_last_payload(
    app, aclient, working, seen, go, real
):
    """[L18] Which begins once they have stopped coming."""
    go.set()
    async with working(app):
        handles = [
            await aclient.submit("sync", number, debounce=Debounce("k", wait=0.3))
            for number in range(5)
        ]
        assert len({handle.id for handle in handles}) == 1
        assert [handle.created for handle in handles] == [True, *[False] * 4]
        status = await handles[0].wait(60)
        assert status.result == 4
        assert (status.started_at - status.created_at).total_seconds() >= 0.3
        later = await aclient.submit("sync", 9, debounce=Debounce("k", wait=0.05))
        assert later.created
        await later.wait(60)
    assert seen == [4, 9]
    assert not list(real.scan_iter("stepflow:once:*"))


async def test_a_debounced_run_begins_at_the_latest_after_max_wait(aclient, clock):
    """[L18] However long submits go on coming."""
    aclient.env.clock = clock
    key = Debounce("k", wait=5, max_wait=12)
    run = await aclient.submit("sync", 0, debounce=key)
    begun = (await run.status()).created_at
    due = []
    for number in range(1, 5):
        clock.advance(3)
        await aclient.submit("sync", number, debounce=key)
        due.append(((await run.status()).due_at - begun).total_seconds())
    assert due == pytest.approx([8, 11, 12, 12])
    assert (await run.status()).payload == 4
    await run.cancel()


async def test_what_has_begun_is_left_alone(app, aclient, working, seen, go):
    """[L18]"""
    async with working(app):
        first = await aclient.submit("sync", 1, debounce=Debounce("k", wait=0.01))
        await until(lambda: seen == [1])
        second = await aclient.submit("sync", 2, debounce=Debounce("k", wait=0.01))
        assert second.created
        go.set()
        assert [await first.result(60), await second.result(60)] == [1, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Singleton(""), lambda: Singleton("a\n"), lambda: Singleton("k", "queue"),
        lambda: Debounce("k", wait=0), lambda: Debounce("k", wait=5, max_wait=1),
        lambda: Singleton("x" * 1025),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make):
    with pytest.raises(InvalidOption):
        make()


async def test_two_keys_or_two_times_are_refused(aclient):
    once = Debounce("k", wait=1)
    for options in ({"singleton": "k"}, {"delay": 1}, {"start_at": 2_000_000_000}):
        with pytest.raises(InvalidOption):
            await aclient.submit("sync", 1, debounce=once, **options)


@pytest.mark.parametrize(
    "given", [{"debounce": 5}, {"debounce": "k"}, {"singleton": Debounce("k", 1)}, {"singleton": 7}]
)
async def test_what_is_no_key_is_refused_in_words(aclient, given):
    with pytest.raises(InvalidOption, match="is no key of a run"):
        await aclient.submit("sync", 1, **given)


async def test_only_a_submit_takes_a_key(aclient, real):
    """[L18] Elsewhere nobody would look at it: members of groups, runs that a signal starts."""
    spec = RunSpec("sync", 1, "a", singleton="k")
    with pytest.raises(InvalidOption, match="only submit takes one"):
        await aclient.groups.submit("g", {"m": RunSpec("sync", 1, singleton="k")})
    with pytest.raises(InvalidOption, match="only submit takes one"):
        await aclient.signal("a", "go", start=spec)
    assert not list(real.scan_iter("stepflow:once:*"))


async def test_long_keys_are_told_apart(aclient):
    """[L18]"""
    runs = [await aclient.submit("sync", 1, singleton="x" * 500 + end) for end in "aba"]
    assert runs[0].id == runs[2].id != runs[1].id
    for run in runs[:2]:
        await run.cancel()


async def test_who_uses_neither_pays_nothing(app, working, client, real, seen, go):
    """[L18] No command and no key."""
    go.set()
    with real.monitor() as monitor:
        async with working(app):
            client.submit("sync", 1, run_id="r")
            await until(lambda: len(client.list(state="succeeded").runs) == 1)
        real.set("last", 1)
        said = []
        for command in monitor.listen():
            if command["command"] == "SET last 1":
                break
            said.append(command["command"])
    real.delete("last")
    assert not [line for line in said if ":once:" in line and "SCRIPT LOAD" not in line]

"""What waits in line says so, with who has the slots; what is left over is found and goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import Limit, Succeed
from stepflow.engine.doctor.limits import mend_limit, odd_limits
from stepflow.engine.limits import turns
from stepflow.engine.why.explain import explain
from stepflow.engine.why.read import read_facts
from tests.support import until


def why(store, run_id):
    return explain(store.plan(read_facts([run_id], store.env))[0])


def test_who_waits_for_a_slot_is_told_who_has_them(store):
    """[L19] With its place, and since when."""
    store.declare(concurrency=2)
    for name in "abcd":
        store.submit(name, "stripe[acme]")
    store.claimed()
    found = why(store, "d")
    assert (found.word, found.code) == ("held", "held.slot")
    assert found.sentence.startswith(
        "it is the 2nd of 2 in line for limit stripe[acme]; all 2 slots are taken: a since "
    )
    assert [each["run"] for each in found.evidence["holders"]] == ["a", "b"]
    assert found.commands[0] == "stepflow limits show 'stripe[acme]'"


def test_of_many_who_have_slots_three_are_named_and_all_others_counted(store):
    """[L19]"""
    store.declare(concurrency=9)
    for name in "abcdefghij":
        store.submit(name, "stripe")
    store.claimed()
    sentence = why(store, "j").sentence
    assert "all 9 slots are taken: a since " in sentence
    assert sentence.endswith(" and 6 more")
    assert sentence.count(" since ") == 3


def test_who_waits_for_a_rate_is_told_when(store):
    """[L19]"""
    store.declare(interval=0.5)
    for name in "abc":
        store.submit(name, "stripe")
    store.claimed()
    found = why(store, "b")
    assert found.code == "held.rate"
    assert "1st of 2 in line for limit stripe, of which 2/s begin; it may at" in found.sentence
    assert (why(store, "c").until - found.until).total_seconds() == pytest.approx(0.5)


def test_one_that_was_called_is_queued_again(store):
    store.declare(concurrency=1)
    store.submit("a", "stripe")
    store.submit("b", "stripe")
    store.claimed()
    store.end("a")
    assert why(store, "b").word == "queued"


async def test_the_status_says_what_it_waits_for(app, client, working, real, keys):
    @app.runner("pay", limits=[Limit("stripe", concurrency=1)])
    async def pay(step: Any) -> Any:
        await asyncio.sleep(0.5)
        return Succeed()

    async with working(app):
        client.submit("pay", run_id="a")
        client.submit("pay", run_id="b")
        await until(lambda: real.exists(keys.lines))
        [waiting] = [each for each in ("a", "b") if real.hget(keys.run(each), "held")]
        assert "its turn in limit stripe, since " in client.status(waiting).waits_for
        await until(lambda: client.status("a").is_finished and client.status("b").is_finished)


def test_a_slot_of_a_run_that_nobody_has_is_found_and_goes(store):
    """[L23] By the doctor, and by a round; the next in line gets it."""
    store.declare(concurrency=1)
    for name in "ab":
        store.submit(name, "stripe")
    store.client.zadd("stepflow:slots:stripe:", {"ghost": store.now})
    store.client.sadd("stepflow:slots", "stripe|")
    assert store.claimed() == []
    [odd] = store.plan(odd_limits(store.env))
    assert (odd.code, odd.where) == ("X12", "ghost stripe")
    assert store.plan(mend_limit(odd, store.env))
    assert store.plan(odd_limits(store.env)) == []
    assert store.claimed() == ["a"]
    store.client.zadd("stepflow:slots:stripe:", {"ghost": store.now})
    store.plan(turns.look_round(store.env))
    assert store.slots() == {"a"}
    assert store.line() == ["b"]


def test_a_head_that_does_not_wait_there_is_found_and_goes(store):
    """[L23]"""
    store.declare(concurrency=0)
    for name in "ab":
        store.submit(name, "stripe")
    store.claimed()
    store.client.hdel("stepflow:run:a", "held")
    [odd] = store.plan(odd_limits(store.env))
    assert (odd.code, odd.run_id) == ("X13", "a")
    assert store.plan(mend_limit(odd, store.env))
    assert store.line() == ["b"]


def test_a_rate_that_is_far_ahead_is_found_and_goes(store):
    """[L23]"""
    store.declare(interval=1.0)
    store.submit("a", "stripe")
    store.client.set("stepflow:tat:stripe:", f"{store.now + 200_000:.6f}")
    assert store.claimed() == []
    [odd] = store.plan(odd_limits(store.env))
    assert odd.code == "X14"
    assert store.plan(mend_limit(odd, store.env))
    assert store.claimed() == ["a"]


def test_one_that_fell_out_of_its_line_is_found(store):
    """[L23] It counts as queued then, and stands in no queue; a worker's scan puts it back."""
    store.declare(concurrency=0)
    store.submit("a", "stripe")
    store.claimed()
    assert why(store, "a").word == "held"
    store.client.zrem("stepflow:line:stripe:", "a")
    assert why(store, "a").code == "X2"
    store.end("a")

"""Who did it: each verb has one line under a name, on `stepflow.audit`."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from stepflow import StepflowError
from stepflow.engine.steering.audit import name_of, this_user


def lines(caplog: Any) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "stepflow.audit"]


async def test_each_verb_says_who_asked_for_it(aclient, caplog):
    """[O15] The name, the verb, of what, and why."""
    caplog.set_level(logging.INFO, "stepflow.audit")
    for run_id in ("a", "b", "c"):
        await aclient.submit("x", run_id=run_id, delay=1000)
    await aclient.signal("a", "go", 1, by="ann")
    await aclient.pause("a", "down", by="ann")
    await aclient.resume("a", by="ann")
    await aclient.run_now("a", by="ann")
    await aclient.cancel("a", "enough", by="ann")
    await aclient.delete("a", by="ann")
    await aclient.fail("b", "broken", by="ann")
    await aclient.retry("b", by="ann")
    await aclient.pause_queue("mail", "down", by="ann")
    await aclient.resume_queue("mail", by="ann")
    assert lines(caplog) == [
        "by=ann signal a: go",
        "by=ann pause a: down",
        "by=ann resume a",
        "by=ann run-now a",
        "by=ann cancel a: enough",
        "by=ann delete a",
        "by=ann fail b: broken",
        "by=ann retry b",
        "by=ann pause-queue mail: down",
        "by=ann resume-queue mail",
    ]
    await aclient.cancel("b")
    await aclient.cancel("c")


async def test_without_a_name_it_is_who_runs_the_process(aclient, caplog):
    """[O15]"""
    caplog.set_level(logging.INFO, "stepflow.audit")
    run = await aclient.submit("x")
    await aclient.cancel(run.id)
    assert lines(caplog) == [f"by={this_user()} cancel {run.id}"]
    assert "@" in this_user()


async def test_what_was_refused_or_changed_nothing_is_no_line(aclient, caplog):
    """[O15]"""
    caplog.set_level(logging.INFO, "stepflow.audit")
    with pytest.raises(StepflowError):
        await aclient.retry("nobody", by="ann")
    assert not await aclient.cancel("nobody", by="ann")
    assert not await aclient.delete("nobody", by="ann")
    assert not await aclient.resume_queue("mail", by="ann")
    assert lines(caplog) == []


async def test_a_pause_that_waits_for_a_step_is_a_line_as_well(aclient, caplog, ghost):
    """[O15]"""
    run = await aclient.submit("x", run_id="a")
    ghost.claim("x")
    caplog.set_level(logging.INFO, "stepflow.audit")
    assert not await aclient.pause("a", by="ann")
    assert lines(caplog) == ["by=ann pause a"]
    await run.cancel()
    ghost.die()


async def test_who_stopped_a_run_and_who_paused_it_stand_in_its_record(aclient, real, keys):
    """[O15]"""
    run = await aclient.submit("x")
    await aclient.pause(run.id, by="ann")
    assert b"|ann|" in real.hget(keys.run(run.id), "pause")
    await aclient.cancel(run.id, by="bob")
    assert real.hget(keys.run(run.id), "stop_by") == b"bob"


def test_a_name_is_text_of_a_bounded_length():
    """[O15]"""
    assert name_of("x" * 1000) == "x" * 200
    assert name_of("\ud800") == "\\ud800"

"""Functions in child processes: what crosses, what a process may cost, and that it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import date

import pytest

from stepflow import PermanentError, Stepflow, TransientError, UnsupportedValue
from stepflow.engine.user_code.processes.isolated import isolated
from stepflow.engine.user_code.processes.pool import end_processes
from stepflow.errors import InvalidOption, ProcessDied
from stepflow.settings import ProcessSettings
from tests.isolation import work
from tests.isolation.support import gone, pid_in

pytestmark = pytest.mark.crash


@pytest.fixture
async def in_process():
    def make(function, **settings):
        return isolated(function, "process", "it", ProcessSettings(**{"most": 1, **settings}))

    yield make
    await end_processes()


async def test_arguments_and_result_keep_their_types(in_process):
    """[S15]"""
    given = work.Order(4, date(2026, 11, 26))
    assert await in_process(work.double)(given, plus=1) == work.Order(9, given.on)


async def test_a_process_is_used_again_and_replaced_after_so_many_calls(in_process):
    """[S15]"""
    where = in_process(work.where, calls=2)
    first, second, third = [await where() for _ in range(3)]
    assert first == second != third


async def test_an_error_keeps_its_class_its_attributes_and_its_traceback(in_process):
    """[S15]"""
    with pytest.raises(work.Refused) as caught:
        await in_process(work.refuse)()
    assert (caught.value.args, caught.value.hint) == ((7,), "not today")
    assert "in refuse" in caught.value.__notes__[0]
    with pytest.raises(PermanentError, match="for good"):
        await in_process(work.give_up)()
    with pytest.raises(TransientError) as limited:
        await in_process(work.rest)()
    assert limited.value.retry_after == 7
    with pytest.raises(UnsupportedValue, match="the result"):
        await in_process(work.not_stored)()


async def test_a_process_that_dies_costs_its_call_and_no_other(in_process):
    """[S15]"""
    with pytest.raises(ProcessDied, match="exit code 3"):
        await in_process(work.leave)(3)
    with pytest.raises(ProcessDied, match="SIGSEGV"):
        await in_process(work.crash)()
    assert await in_process(work.where)()


async def test_a_process_that_dies_between_two_calls_costs_none(in_process):
    """[S15] As when the system is out of memory: a dead one was called, and the call failed."""
    where = in_process(work.where)
    pid = await where()
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    assert await where() != pid


@pytest.mark.parametrize("function", [work.turn, work.spin])
async def test_a_call_that_is_cancelled_has_its_process_killed(in_process, function, tmp_path):
    """[S15]"""
    file = tmp_path / "pid"
    call = asyncio.ensure_future(in_process(function)(str(file)))
    pid = await pid_in(file)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gone(pid)


async def test_memory_has_a_limit(in_process):
    """[S15]"""
    hog = in_process(work.hog, memory_bytes=1 << 30)
    assert await hog(10) == 10
    with pytest.raises(MemoryError):
        await hog(1 << 31)
    assert await hog(10) == 10


@pytest.mark.parametrize(
    ("function", "isolation", "problem"),
    [
        (work.awaited, "process", "is an async def"),
        (lambda: None, "process", "a child process cannot import"),
        (work.where, "thread", "the one there is is 'process'"),
    ],
)
def test_what_cannot_be_isolated_is_refused_at_once(function, isolation, problem):
    """[S15]"""
    app = Stepflow("redis://localhost")
    with pytest.raises(InvalidOption, match=problem):
        app.job(name="it", isolation=isolation)(function)

"""What is asked of Redis and given back, should nobody wait for the answer any more."""

import asyncio

import pytest

from stepflow.errors import RedisRefused
from stepflow.store.calls import command, raw
from stepflow.worker.runtime.ask import ask

CALL = command("PING", read=raw)


class Link:
    """Answers when the test says so; the first *refusals* calls are refused."""

    def __init__(self, refusals=0):
        self.refusals = refusals
        self.sent = []

    def send(self, call):
        future = asyncio.get_running_loop().create_future()
        self.sent.append(future)
        if len(self.sent) <= self.refusals:
            future.set_exception(RedisRefused("OOM it is full", "give it memory"))
        return future

    async def call(self, call):
        return await self.send(call)


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr("stepflow.engine.insist.REFUSED_S", 0.001)


async def test_an_answer_that_nobody_waits_for_is_given_back():
    """[K8] [K17] A trial, or the right to compute, that came to a step which was cancelled."""
    link, given_back = Link(), []
    asking = asyncio.ensure_future(ask(link, CALL, "it cannot ask", given_back.append))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert given_back == []
    link.sent[0].set_result("a permit")
    await asyncio.sleep(0)
    assert given_back == ["a permit"]


async def test_a_refusal_is_outlasted(quickly):
    """[K8] While Redis refuses to write the step waits, and is not failed."""
    link, given_back = Link(refusals=3), []
    asking = asyncio.ensure_future(ask(link, CALL, "it cannot ask", given_back.append))
    while len(link.sent) <= 3 and not asking.done():
        await asyncio.sleep(0.001)
    link.sent[-1].set_result("a permit")
    assert await asking == "a permit"
    assert given_back == []

"""[A11] A conversation with an agent of the OpenAI Agents SDK, kept with its run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import Agent

from stepflow import Context, InvalidOption, Stepflow
from stepflow.agents.openai_agents import RunSession, read_session, run
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.agents.openai_agents.test_runs import Scripted

pytestmark = pytest.mark.crash  # importing the SDK takes seconds


class Echo(Scripted):
    """Says again what was said last, and notes how many items it was given."""

    def __init__(self) -> None:
        super().__init__("echo", [], Counter())
        self.given: list[int] = []

    async def get_response(self, *args: Any, input: Any, **options: Any) -> Any:  # noqa: A002  theirs
        self.given.append(len(input))
        self.answers = [f"re: {input[-1]['content']}"]
        return await super().get_response(*args, input="", **options)


@pytest.fixture
async def h() -> AsyncIterator[Harness]:
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


def chat(h: Harness, model: Echo, limit: int | None = None) -> Any:
    agent = Agent("echo", model=model)

    @h.app.workflow
    async def chat(ctx: Context, turn: int) -> Any:
        said = await ctx.wait_for_signal("said", type=str)
        if said == "bye":
            return turn
        await run(agent, said, session=RunSession(limit=limit))
        return await ctx.continue_as_new(turn + 1)

    return chat


def texts(items: list[Any]) -> list[str]:
    return [
        each["content"] if isinstance(each["content"], str) else each["content"][0]["text"]
        for each in items
    ]


async def test_what_was_said_is_kept_once_through_crashes_and_new_histories(h: Harness) -> None:
    model = Echo()
    handle = await h.submit(chat(h, model), 0)
    await h.client.signal(handle.id, "said", "one")
    h.crash_after("model")
    await h.client.signal(handle.id, "said", "two")
    await h.client.signal(handle.id, "said", "bye")
    assert await h.result(handle) == 2
    items = read_session(await h.client.vars(handle.id))
    assert texts(items) == ["one", "re: one", "two", "re: two"]
    assert model.given == [1, 3]


async def test_the_model_is_given_the_last_items_and_a_turn_reads_no_more(h: Harness) -> None:
    model = Echo()
    handle = await h.submit(chat(h, model, limit=2), 0)
    sizes = []
    for number in range(6):
        await h.client.signal(handle.id, "said", f"word {number}")
        sizes.append(len(str(await h.history(handle))))
    assert model.given == [1, *[3] * 5]
    assert sizes[-1] <= sizes[2] + 50
    assert len(read_session(await h.client.vars(handle.id))) == 12
    await h.client.cancel(handle.id)


async def test_branches_that_add_at_the_same_time_lose_nothing_of_one_another(h: Harness) -> None:
    @h.app.workflow
    async def flow(ctx: Context) -> list[Any]:
        await asyncio.gather(
            *(RunSession().add_items([{"content": f"{n}"}, {"content": f"re: {n}"}]) for n in "abc")
        )
        return await RunSession().get_items()

    assert sorted(texts(await h.result(await h.submit(flow)))) == [
        "a", "b", "c", "re: a", "re: b", "re: c",
    ]  # fmt: skip


async def test_branches_that_take_back_clear_and_add_at_the_same_time_do_each_all_or_nothing(
    h: Harness,
) -> None:
    @h.app.workflow
    async def flow(ctx: Context) -> list[Any]:
        for name in "abcd":
            await RunSession().add_items([{"content": name}])
        taken = await asyncio.gather(
            RunSession().pop_item(),
            RunSession().pop_item(),
            RunSession().add_items([{"content": "e"}, {"content": "f"}]),
            RunSession().pop_item(),
        )
        left = await RunSession().get_items()
        await asyncio.gather(
            RunSession().clear_session(),
            RunSession().add_items([{"content": "g"}]),
            RunSession().pop_item(),
            RunSession().add_items([{"content": "h"}]),
        )
        return [texts([each for each in taken if each]), texts(left), await ctx.vars.get("session")]

    run_ = await h.submit(flow)
    assert await h.result(run_) == [["d", "c", "f"], ["a", "b", "e"], 1]
    assert texts(read_session(await h.client.vars(run_.id))) == ["h"]


async def test_where_a_branch_was_cancelled_while_it_added_items_the_one_before_is_taken(
    h: Harness,
) -> None:
    @h.app.workflow
    async def flow(ctx: Context) -> list[Any]:
        session = RunSession()
        await session.add_items([{"content": "a"}])
        await ctx.vars.incr("session")  # as one that was cancelled then
        return [await session.pop_item(), await session.pop_item(), await session.get_items()]

    run_ = await h.submit(flow)
    assert await h.result(run_) == [{"content": "a"}, None, []]
    assert await h.client.vars(run_.id) == {"session": 0}


async def test_items_are_taken_back_and_cleared(h: Harness) -> None:
    @h.app.workflow
    async def flow(ctx: Context) -> list[Any]:
        session, seen = RunSession(), list[Any]()
        assert session.session_id == ctx.run_id
        seen.append(await session.pop_item())
        await session.add_items([{"content": "a"}, {"content": "b"}])
        await session.add_items([])
        await session.add_items([{"content": "c"}])
        seen += [await session.get_items(2), await session.pop_item(), await session.pop_item()]
        seen.append(await session.get_items())
        await session.clear_session()
        return [*seen, await session.get_items()]

    a, b, c = ({"content": each} for each in "abc")
    run_ = await h.submit(flow)
    assert await h.result(run_) == [None, [b, c], c, b, [a], []]
    assert await h.client.vars(run_.id) == {}
    with pytest.raises(InvalidOption, match="outside of workflow code"):
        await RunSession().get_items()
    for limit in (0, -1, "2", True):
        with pytest.raises(InvalidOption, match="limit of RunSession"):
            RunSession(limit=limit)  # type: ignore[arg-type]

"""What an agent may not do alone is asked, and the run goes on with the answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic_ai import Agent, ApprovalRequired, CallDeferred, RunContext, capabilities
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolRequests

from stepflow import AnswerMisfit, Context, QuestionClosed, Stepflow
from stepflow.agents.pydantic_ai import Durable
from stepflow.testing import Harness
from stepflow.web.pages.lists.questions import form_of
from tests.agents.pydantic_ai.desk import Desk, calling, refund

pytestmark = pytest.mark.crash  # importing pydantic-ai takes seconds


async def test_an_approval_is_listed_with_tool_and_arguments_told_and_answered_once() -> None:
    """[A4]"""
    desk = Desk(refund(5, "c1"))
    async with Harness(desk.app) as h:
        run = await h.submit("desk", "my money back")
        [question] = await h.client.questions()
        assert question.prompt == "Refund 5 euros?"
        assert [label for label, _ in form_of(question.schema).choices] == ["Yes", "No"]
        [told] = desk.told
        assert (told.token, told.tool, dict(told.args)) == (question.token, "refund", {"amount": 5})
        await h.advance(timedelta(days=30))
        with pytest.raises(AnswerMisfit):
            await h.client.answer(question.token, "perhaps")
        await h.client.answer(question.token, True)
        assert await h.result(run) == "refund c1: refunded 5"
        with pytest.raises(QuestionClosed):
            await h.client.answer(question.token, False)
    assert (desk.refunded, len(desk.told)) == ([5], 1)


async def test_parallel_approvals_are_answered_in_any_order_and_never_misrouted() -> None:
    """[A4] Each answer goes to its own call: a no with a reason, other arguments, a yes."""
    desk = Desk(refund(5, "c1"), refund(6, "c2"), refund(7, "c3"))
    async with Harness(desk.app) as h:
        run = await h.submit("desk", "my money back")
        asked = {question.prompt: question.token for question in await h.client.questions()}
        await h.client.answer(asked["Refund 7 euros?"], {"approved": False, "message": "too much"})
        h.crash_after("desk.refund")  # what is under way beside it may be done again
        await h.client.answer(asked["Refund 6 euros?"], True)
        await h.client.answer(asked["Refund 5 euros?"], {"approved": True, "args": {"amount": 4}})
        assert await h.result(run) == (
            "refund c1: refunded 4; refund c2: refunded 6; refund c3: too much"
        )
    assert set(desk.refunded) == {4, 6}


async def test_nobody_answers_and_the_model_is_told() -> None:
    """[A4]"""
    desk = Desk(refund(5, "c1"), answer_within=timedelta(days=3))
    async with Harness(desk.app) as h:
        run = await h.submit("desk", "my money back")
        await h.advance(timedelta(days=3))
        assert "Nobody answered in time" in await h.result(run)
    assert desk.refunded == []


async def test_a_tool_asks_while_it_runs_and_one_is_done_elsewhere() -> None:
    """[A4] ApprovalRequired and CallDeferred out of a tool's code."""
    app = Stepflow()
    agent = Agent(
        calling(
            ToolCallPart("pay", {"amount": 500}, tool_call_id="c1"),
            ToolCallPart("count", {"shelf": 3}, tool_call_id="c2"),
        ),
        name="desk",
        capabilities=[Durable()],
    )

    @agent.tool
    async def pay(run: RunContext[None], amount: int) -> str:
        if amount > 100 and not run.tool_call_approved:
            raise ApprovalRequired
        return f"paid {amount}"

    @agent.tool_plain
    async def count(shelf: int) -> int:
        raise CallDeferred

    @app.workflow("desk")
    async def desk(ctx: Context) -> str:
        return (await agent.run("pay")).output

    async with Harness(app) as h:
        run = await h.submit("desk")
        by_prompt = {question.prompt: question.token for question in await h.client.questions()}
        await h.client.answer(by_prompt['desk waits for the result of count with {"shelf": 3}'], 12)
        await h.client.answer(
            by_prompt['desk wants to call pay with {"amount": 500}. Allow it?'], True
        )
        assert await h.result(run) == "pay c1: paid 500; count c2: 12"


async def test_an_agent_whose_output_takes_requests_gets_them() -> None:
    app = Stepflow()
    agent = Agent(
        calling(refund(5, "c1")),
        name="desk",
        output_type=[str, DeferredToolRequests],
        capabilities=[Durable()],
    )

    @agent.tool_plain(requires_approval=True, name="refund")
    async def refunds(amount: int) -> int:
        return amount

    @app.workflow("desk")
    async def desk(ctx: Context) -> int:
        output = (await agent.run("pay")).output
        assert isinstance(output, DeferredToolRequests)
        return len(output.approvals)

    async with Harness(app) as h:
        assert await h.result(await h.submit("desk")) == 1


@pytest.mark.parametrize("at_once", [False, True])
async def test_request_input_waits_for_the_answer_to_a_question(at_once: bool) -> None:
    """[A4] What its `ask` returns is the answer; else the token is that of a question."""
    if not hasattr(capabilities, "RequestInput"):
        pytest.skip("pydantic-ai has it since 2.68")
    app, told = Stepflow(), []

    async def ask(run: Any, requests: DeferredToolRequests, token: str) -> Any:
        told.append(token)
        return requests.build_results(approve_all=True) if at_once else None

    agent = Agent(
        calling(refund(5, "c1")),
        name="desk",
        capabilities=[Durable(), capabilities.RequestInput(ask=ask)],
    )

    @agent.tool_plain(requires_approval=True, name="refund")
    async def refunds(amount: int) -> str:
        return f"refunded {amount}"

    @app.workflow("desk")
    async def desk(ctx: Context) -> str:
        output = (await agent.run("pay")).output
        await ctx.sleep(60)
        return output

    async with Harness(app) as h:
        run = await h.submit("desk")
        if not at_once:
            [question] = await h.client.questions()
            assert question.token == told[0]
            await h.client.answer(question.token, {"approvals": {"c1": True}})
        assert await h.client.questions() == []
        await h.advance(60)
        assert await h.result(run) == "refund c1: refunded 5"
    assert len(told) == 1

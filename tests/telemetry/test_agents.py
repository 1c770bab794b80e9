"""Workflows that say they are agents [E19]."""

from __future__ import annotations

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from stepflow import Stepflow
from stepflow.telemetry import OpenTelemetry, gen_ai
from stepflow.testing import Harness
from tests.telemetry.conftest import below


async def test_an_agent_is_a_span_invoke_workflow_without_content(spans):
    """[E19] Its steps hang below it; an ordinary workflow has none."""
    app = Stepflow(telemetry=OpenTelemetry(tracer_provider=spans.provider))

    @app.workflow(agent=True)
    async def research(ctx, topic: str) -> str:
        return await ctx.step("think", str.upper, topic)

    @app.workflow
    async def ordinary(ctx, topic: str) -> str:
        return topic

    async with Harness(app) as h:
        assert await h.result(await h.submit("research", "secret", run_id="r1")) == "SECRET"
        await h.result(await h.submit("ordinary", "secret"))
    agent = spans.one("invoke_workflow research")
    assert below(agent, spans.one("process research"))
    assert below(spans.one("step think"), agent)
    assert dict(agent.attributes) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "research",
        "gen_ai.agent.name": "research",
        "gen_ai.conversation.id": "r1",
        "stepflow.outcome": "succeed",
    }
    said = [str(value) for one in spans.all() for value in one.attributes.values()]
    assert not [text for text in said if "secret" in text.lower()]


def test_the_names_are_those_of_the_conventions_where_the_library_has_them():
    """[E19] The library's are of an earlier version, and were moved, not renamed."""
    names = vars(gen_ai_attributes)
    assert names["GEN_AI_OPERATION_NAME"] == gen_ai.OPERATION
    assert names["GEN_AI_AGENT_NAME"] == gen_ai.AGENT
    assert names["GEN_AI_CONVERSATION_ID"] == gen_ai.CONVERSATION
    assert names["GEN_AI_WORKFLOW_NAME"] == gen_ai.WORKFLOW

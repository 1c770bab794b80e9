"""[A8] A graph of LangGraph inside a workflow: parallel nodes, and an interrupt for people."""

from __future__ import annotations

import operator
from collections import Counter
from typing import Annotated, Any, TypedDict

import pytest

from stepflow import Context, Stepflow, current
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.agents.crashes import crash_at_every_write

#: what it imports takes longer than it does; a graph that is put aside within a node makes a
#: coroutine for its callbacks that nobody can await any more
pytestmark = [
    pytest.mark.crash,
    pytest.mark.filterwarnings(r"ignore:.*AsyncCallbackManager\w*\.on_chain_error"),
]


class State(TypedDict):
    topic: str
    notes: Annotated[list[str], operator.add]
    published: bool


def make_report(calls: Counter[str]) -> Any:
    """Two nodes research side by side, a third asks whether to publish."""
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Command, interrupt

    async def look_up(source: str, topic: str) -> str:
        calls[source] += 1
        return f"{topic} in {source}"

    def researcher(source: str) -> Any:
        async def research(state: State) -> dict[str, Any]:
            return {"notes": [await current().step("look_up", look_up, source, state["topic"])]}

        return research

    async def publish(state: State) -> dict[str, Any]:
        return {"published": interrupt({"publish": sorted(state["notes"])})}

    def build() -> Any:
        graph = StateGraph(State)
        for source in ("books", "papers"):
            graph.add_node(source, researcher(source))
            graph.add_edge(START, source)
        graph.add_node("publish", publish)
        graph.add_edge(["books", "papers"], "publish")
        graph.add_edge("publish", END)
        return graph.compile(checkpointer=InMemorySaver())

    async def report(ctx: Context) -> Any:
        graph, config = build(), {"configurable": {"thread_id": ctx.run_id}}
        state = await graph.ainvoke({"topic": "tides", "notes": []}, config)
        while "__interrupt__" in state:
            [asked] = state["__interrupt__"]
            answer = await ctx.ask(bool, f"Publish {asked.value['publish']}?")
            state = await graph.ainvoke(Command(resume=answer), config)
        return [sorted(state["notes"]), state["published"]]

    return report


async def test_a_crash_at_every_write_repeats_what_was_in_flight_and_nothing_else():
    await crash_at_every_write(make_report, in_flight=2)


async def test_an_interrupt_is_a_question():
    app = Stepflow("redis://nowhere", settings=Settings())
    app.workflow("report")(make_report(Counter()))
    async with Harness(app) as h:
        handle = await h.submit("report")
        [question] = await h.client.questions()
        assert question.prompt == "Publish ['tides in books', 'tides in papers']?"
        await h.client.answer(question.token, False)
        assert await h.result(handle) == [["tides in books", "tides in papers"], False]
    assert h.called == ["look_up", "look_up"]

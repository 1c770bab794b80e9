"""What an answer says that one can type works as it is typed, whatever the names in it."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import Step, Succeed
from stepflow.shell import to_type
from tests.support import until


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (("retry", "a"), "stepflow retry a"),
        (("retry", "-a", "b"), "stepflow retry -- -a b"),
        (("limits show", "stripe[acme]"), "stepflow limits show 'stripe[acme]'"),
        (("answer", "a.1f", "-5"), "stepflow answer -- a.1f -5"),
        (("signal", "a", "the name", '{"n": 1}'), "stepflow signal a 'the name' '{\"n\": 1}'"),
    ],
)
def test_names_are_written_for_a_shell(given, written):
    assert to_type(*given) == written


def test_options_stand_before_what_looks_like_one():
    assert to_type("why", "a", options=("--now",)) == "stepflow why a --now"
    assert to_type("why", "-a", options=("--now",)) == "stepflow why --now -- -a"


async def test_runs_whose_ids_begin_like_options_are_moved_by_what_is_said(scene):
    """An answer, a signal, a start now and a resume."""

    @scene.app.workflow("asks")
    async def asks(ctx: Any) -> list[Any]:
        least = await ctx.ask(int, "How many?")
        return [least, await ctx.wait_for_signal("-go")]

    @scene.app.runner("r")
    async def r(step: Step[Any]) -> Any:
        return Succeed(step.payload)

    async with scene.working(scene.app):
        await scene.client.submit("asks", run_id="-w")
        await scene.carry((await scene.why("waiting.ask", "-w")).commands[0])
        await scene.carry((await scene.why("waiting.signal", "-w")).commands[0])
        await scene.ends("succeeded", "-w")
        await scene.client.submit("r", run_id="-d", delay=3600)
        await scene.carry((await scene.why("scheduled.delay", "-d")).commands[0])
        await scene.ends("succeeded", "-d")
        await scene.client.submit("r", run_id="-p", delay=3600)
        await scene.client.pause("-p")
        await scene.carry((await scene.why("paused.person", "-p")).commands[0])
        await scene.client.cancel("-p")


async def test_the_question_of_a_run_has_an_answer_to_type_wherever_it_stands(scene):
    """In `show` and in the rows that the dashboard draws as well as in `why`."""

    @scene.app.workflow("asks")
    async def asks(ctx: Any) -> bool:
        return await ctx.ask(bool, "Publish?")

    async with scene.working(scene.app):
        await scene.client.submit("asks", run_id="a")
        [question] = await until(scene.client.questions)
        typed = f"stepflow answer {question.token} true"
        [step] = (await scene.client.steps("a")).steps
        assert (step.example, step.answering, question.answering) == ("true", typed, typed)
        assert (await scene.why("waiting.ask")).commands == (typed,)
        await scene.carry(typed)
        await scene.ends("succeeded")

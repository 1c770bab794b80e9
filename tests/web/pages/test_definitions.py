"""The page of a run that is a definition's."""

from __future__ import annotations

from stepflow import PermanentError
from tests.support import until
from tests.web.pages.test_machines import looks

CASES = [{"when": "input > 1", "then": "ask"}]


def sleep(name, *needs, **more):
    return {"id": name, "kind": "sleep", "depends_on": list(needs), "input": {"for": 0}, **more}


async def test_the_page_of_a_run_draws_its_definition_with_states(app, working, look):
    """[D10] What is done, skipped, not chosen, in progress, failed and never begun."""

    @app.tool
    def fail() -> None:
        raise PermanentError("no")

    steps = [
        sleep("first"),
        sleep("left", "first", skip_if="true"),
        {"id": "pick", "kind": "condition", "depends_on": ["first"],
         "input": {"cases": CASES, "else": "other"}},
        {"id": "ask", "kind": "wait", "depends_on": ["pick"], "input": {"prompt": "ok?"}},
        sleep("other", "pick"),
        sleep("beyond", "other"),
        {"id": "bad", "kind": "tool", "depends_on": ["first"], "input": {"tool": "fail"}},
        sleep("never", "bad"),
        sleep("last", "ask", "left"),
    ]  # fmt: skip
    definition = {"name": "drawn", "description": "A picture of it.", "steps": steps}
    async with working(app):
        run = await app.async_client.submit_definition(definition, 2)
        [question] = await until(app.async_client.questions)

        async def failed():
            return any(step.key == "bad" for step in await app.async_client.steps(run.id))

        await until(failed)
        page = await look(f"runs/{run.id}")
        before = {
            "first": "step done", "left": "step skipped", "pick": "choice done", "ask": "step now",
            "other": "step skipped", "beyond": "step skipped", "bad": "step failed",
            "never": "step blocked", "last": "step ahead",
        }  # fmt: skip
        assert looks(page) == before
        assert "A picture of it." in page
        assert "now in ask</small>" in page
        await app.async_client.answer(question.token, value=True)
        assert (await run.wait(60)).state == "failed"
    page = await look(f"runs/{run.id}")
    assert looks(page) == {**before, "ask": "step done", "last": "step done"}

"""Failures, queues, workers, questions, hooks and what needs attention."""

from __future__ import annotations

import html
import re

import pytest

from stepflow import PermanentError, Succeed, Webhook
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import RunStatus
from stepflow.web.pages.lists.failures import groups_of
from stepflow.web.pages.lists.questions import form_of
from tests.support import until


def failed(number, runner, kind, message):
    return RunStatus(f"r{number}", runner, "failed", error=ErrorInfo(kind, message))


def test_failures_are_put_together_by_runner_and_by_what_raised():
    """A step that failed in a workflow counts as its own error."""
    runs = [
        *(failed(n, "order", "StepFailed", f"step 'pay' failed (Declined): {n}") for n in range(3)),
        failed(4, "order", "ValueError", "no"),
        failed(5, "mail", "ValueError", "no"),
    ]
    groups = groups_of(runs)
    assert [(group.runner, group.error, group.count) for group in groups] == [
        ("order", "Declined", 3),
        ("order", "ValueError", 1),
        ("mail", "ValueError", 1),
    ]
    assert groups[0].where == "state=failed runner=order 'error~failed (Declined)'"
    assert groups[1].where == "state=failed runner=order error=ValueError"


async def test_the_conditions_of_a_group_find_its_runs(app, aclient, working, look):
    @app.workflow("order")
    async def order(ctx, number):
        def pay():
            raise PermanentError("declined")

        await ctx.step("pay", pay)

    async with working(app):
        for number in range(2):
            await (await aclient.submit("order", number)).wait(60)
    page = html.unescape(await look("failures"))
    assert "PermanentError" in page
    search = re.search(r'<tr data-href="([^"]+)"', page)[1].removeprefix("/ui/")
    assert len(re.findall(r'id="run-', await look(search))) == 2


async def test_a_queue_that_no_worker_serves_says_what_to_start(aclient, look):
    await aclient.submit("one", 1, queue="gpu")
    page = await look("queues")
    assert "stepflow worker APP -q gpu" in page
    assert "stepflow worker APP -q gpu" in await look("")


async def test_a_queue_is_paused_and_resumed(aclient, look, press):
    await aclient.submit("one", 1, queue="mail")
    await press("do/pause-queue/mail", reason="provider down")
    [queue] = await aclient.queues()
    assert queue.paused.reason == "provider down"
    page = await look("queues")
    assert "provider down" in page
    assert "/ui/do/resume-queue/mail" in page
    assert "/ui/do/pause-queue/mail" not in page
    await press("do/resume-queue/mail")
    [queue] = await aclient.queues()
    assert queue.paused is None


@pytest.mark.crash
async def test_workers_are_listed_with_their_slots(aclient, worker, look):
    worker("-q", "a", "-q", "b", "-c", "3")
    [info] = await until(lambda: _workers(aclient))
    page = await look("workers")
    assert info.name in page
    assert "a, b" in page
    assert "0 / 3" in page


async def test_a_worker_that_is_not_well_says_so_with_its_resource(look, real):
    """[K13] On the page of workers, and among what needs somebody."""
    for name, condition in {"w1": "unhealthy: pool: gone", "w2": "degraded: disk: <full>"}.items():
        row = {
            "concurrency": 3, "state": "idle", "queues": "default", "condition": condition,
            "birth": "2026-01-01T00:00:00.000000Z",
        }  # fmt: skip
        real.hset(f"rq:worker:{name}", mapping=row)
        real.sadd("rq:workers", f"rq:worker:{name}")
        real.zadd("stepflow:workers:default", {name: real.time()[0] + 30})
    listed = await look("workers")
    assert re.search(r"</svg>unhealthy</b> <span [^>]*>pool: gone<", listed)
    assert re.search(r"</svg>idle</span> <span [^>]*>degraded: disk: &lt;full&gt;<", listed)
    needed = await look("")
    assert "worker w1" in needed
    assert "disk: &lt;full&gt;" in needed
    real.flushall()


async def _workers(aclient):
    return [info for info in await aclient.workers() if info.concurrency]


async def test_questions_are_answered_by_forms_of_what_they_ask_for(
    app, aclient, working, look, press, http
):
    """Yes or no, a text, JSON that has to fit; a mistake is said beside what was written."""

    @app.workflow("ask")
    async def ask(ctx):
        sure = await ctx.ask(bool, "Sure?")
        name = await ctx.ask(str, "Which name?")
        return [sure, name, await ctx.ask(dict[str, int], "Which limits?")]

    async def token(prompt):
        return await until(lambda: _token_of(aclient, prompt))

    async with working(app):
        run = await aclient.submit("ask")
        first = await token("Sure?")
        assert re.search(r'name="value" value="true">Yes<', await look("questions"))
        await press(f"questions/{first}", value="true")
        await press(f"questions/{await token('Which name?')}", kind="text", value="<b>true</b>")
        last = await token("Which limits?")
        odd = await http.post(f"/ui/questions/{last}", data={"value": '{"a": "x"}'})
        assert odd.status_code == 422
        assert "{&#34;a&#34;: &#34;x&#34;}" in odd.text
        await press(f"questions/{last}", value='{"a": 1}')
        assert await run.result(60) == [True, "<b>true</b>", {"a": 1}]


async def _token_of(aclient, prompt):
    return next((q.token for q in await aclient.questions() if q.prompt == prompt), None)


def test_each_kind_of_answer_has_its_form():
    assert form_of({"type": "boolean"}).choices == [("Yes", "true"), ("No", "false")]
    assert form_of({"enum": ["a", 1]}).choices == [("a", '"a"'), ("1", "1")]
    assert form_of({"enum": list(range(9))}).has_buttons is False
    assert form_of({"type": "string"}).kind == "text"
    assert form_of({"type": "integer"}).kind == "number"
    assert form_of({"anyOf": [{"type": "string"}, {"type": "null"}]}).kind == "json"
    assert form_of({}).kind == "json"


async def test_a_hook_that_was_given_up_is_sent_again(app, aclient, working, look, press):
    @app.runner("done")
    async def done(step):
        return Succeed(1)

    async with working(app, next_wait=lambda *_: None):
        hook = Webhook("http://127.0.0.1:9/x")
        await (await aclient.submit("done", 1, run_id="r1", webhooks=[hook])).wait(60)
        [dead] = await until(lambda: _dead(aclient))
    page = await look("hooks")
    assert "http://127.0.0.1:9/x" in page
    assert "http://127.0.0.1:9/x" in await look("")
    await press(f"do/redeliver/{dead.id}")
    [hook] = await aclient.hooks("r1")
    assert hook.state == "pending"


async def _dead(aclient):
    return list(await aclient.hooks())


@pytest.mark.crash
async def test_the_first_page_says_that_there_is_no_worker_and_that_all_is_well(
    aclient, worker, look
):
    """[O21]"""
    assert "no live worker" in await look("")
    worker()
    await until(lambda: _workers(aclient))
    assert "All clear" in await look("")


async def test_what_is_paused_or_stuck_is_on_the_first_page(app, aclient, working, look):
    @app.workflow("sleeper")
    async def sleeper(ctx):
        await ctx.sleep(1000)

    async with working(app):
        await aclient.submit("sleeper", run_id="s1")
        await until(lambda: _is(aclient, "s1", "waiting"))
        await aclient.pause("s1", "lunch")
        await aclient.submit("nobody", 1, run_id="n1")
        await until(lambda: _why(aclient, "n1", "blocked.runner"))
        page = await look("")
    assert "stepflow resume s1" in page
    assert "lunch" in page
    assert "blocked" in page


async def test_much_of_a_kind_is_one_line_of_the_first_page(app, aclient, working, look):
    """[O21] With its number, the first texts, and a link to the list."""

    @app.workflow("asker")
    async def asker(ctx, number):
        return await ctx.ask(bool, f"Ship order {number}?")

    @app.workflow("sleeper")
    async def sleeper(ctx):
        await ctx.sleep(1000)

    asked, slept = [f"a{number}" for number in range(5)], [f"s{number}" for number in range(4)]
    async with working(app):
        for number, run_id in enumerate(asked):
            await aclient.submit("asker", number, run_id=run_id)
        for run_id in slept:
            await aclient.submit("sleeper", run_id=run_id)
        for run_id in (*asked, *slept):
            await until(lambda run_id=run_id: _is(aclient, run_id, "waiting"))
        for run_id in slept:
            await aclient.pause(run_id, "provider down")
        page = await look("")
    lines = re.findall(r"<tr data-href.*?</tr>", page.partition("Needs attention")[2], re.DOTALL)
    [question] = [line for line in lines if "question" in line]
    assert "<b>5</b>" in question
    assert question.count("Ship order") == 6  # three in the title, three in the line
    [paused] = [line for line in lines if "paused" in line]
    assert "<b>4</b>" in paused
    assert paused.count("provider down") == 2  # in the title, and in the line
    assert "stepflow resume --where &#39;state=paused runner=sleeper&#39;" in paused


async def _is(aclient, run_id, state):
    return (await aclient.status(run_id)).state == state


async def _why(aclient, run_id, code):
    return (await aclient.why(run_id)).code == code

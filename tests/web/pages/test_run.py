"""The page of a run [O22]."""

from __future__ import annotations

import asyncio
import re
from html import unescape

import pytest

from stepflow import Continue, PermanentError, RetryPolicy, Succeed
from stepflow.web import reading
from stepflow.web.pages.words import MOST_SHOWN
from tests.support import until

QUICK = RetryPolicy(max_attempts=3, initial=0.01)


def buttons(page: str) -> list[str]:
    """Name the verbs that the head of a page has buttons for."""
    return re.findall(r'role="button" href="/ui/do/([a-z-]+)/', page.partition('id="why"')[0])


async def parked(aclient, run_id):
    async def waits():
        return (await aclient.status(run_id)).state == "waiting"

    await until(waits)


async def test_the_first_lines_say_why_it_stands_and_what_to_type(aclient, look):
    """[O22]"""
    await aclient.submit("etl", {"rows": 3}, run_id="a1", headers={"tenant": "acme"})
    page, why = await look("runs/a1"), await aclient.why("a1")
    assert why.sentence.split(" since ")[0].replace("'", "&#39;") in page
    assert all(command in page for command in why.commands)
    assert "&#34;rows&#34;: 3" in page
    assert "acme" in page


async def test_tags_lead_to_the_runs_that_have_them(aclient, look, http):
    """[O22]"""
    tags = {"tenant": "acme & sons", "api_token": "t0p"}
    await aclient.submit("one", 1, run_id="g1", tags=tags)
    page = await look("runs/g1")
    assert "tenant=acme &amp; sons" in page
    assert "t0p" not in page
    [link] = re.findall(r'class="tag" href="([^"]*tenant[^"]*)"', page)
    assert 'id="run-g1"' in (await http.get(unescape(link))).text


async def test_a_redactor_of_your_own_may_hide_everything(app, aclient, api, working):
    """[O19]"""

    @app.workflow("fails", retry=QUICK)
    async def fails(ctx):
        async def fail():
            raise ValueError("t0psecret")

        await ctx.emit("t0psecret")
        await ctx.vars.set("v", "t0psecret")
        await ctx.step("t", fail)

    async with working(app):
        await aclient.submit(
            "fails", "t0psecret", run_id="h1", headers={"a": "t0psecret"}, tags={"b": "t0psecret"}
        )
        await aclient.wait("h1", 60)
    http = api(redact=lambda kind, path, value: "hidden")
    for query in ("", "?step=run", "?step=0"):
        answer = await http.get(f"/ui/runs/h1{query}")
        assert answer.status_code == 200, query
        assert "t0psecret" not in answer.text, query


async def test_there_is_no_page_of_a_run_that_nobody_knows(http):
    answer = await http.get("/ui/runs/nobody")
    assert answer.status_code == 404
    assert "nobody" in answer.text


async def test_only_what_is_possible_has_a_button(app, aclient, look, working, api):
    """[O22]"""

    @app.workflow("flow")
    async def flow(ctx):
        await ctx.wait_for_signal("go")
        raise PermanentError("no")

    async with working(app):
        await aclient.submit("flow", run_id="f1")
        await parked(aclient, "f1")
        assert buttons(await look("runs/f1")) == ["signal", "fork", "pause", "cancel", "fail"]
        readers = api(access=reading)
        assert buttons((await readers.get("/ui/runs/f1")).text) == []
        await aclient.pause("f1")
        assert buttons(await look("runs/f1")) == ["resume", "signal", "cancel", "fail"]
        await aclient.resume("f1")
        await aclient.signal("f1", "go")
        await aclient.wait("f1", 60)
    assert buttons(await look("runs/f1")) == ["retry", "fork", "delete"]


async def test_a_workflow_that_failed_shows_the_step_that_did_it(app, aclient, look, working):
    """[O22] Its error with the traceback, its attempts, the worker."""

    @app.workflow("order", retry=QUICK)
    async def order(ctx):
        async def charge():
            raise ValueError("card <declined>")

        await ctx.step("reserve", str, 1)
        await ctx.step("charge", charge)

    async with working(app):
        await aclient.submit("order", run_id="o1")
        await aclient.wait("o1", 60)
    page = await look("runs/o1")
    panel = page.partition('id="panel"')[2].partition("</section>\n{%")[0]
    assert "step charge" in panel
    assert "card &lt;declined&gt;" in panel
    assert "Traceback" in panel
    assert "in charge" in panel
    assert panel.count("<td>failed</td>") == 2
    assert "<declined>" not in page
    other = await look("runs/o1", step="0")
    assert "step reserve" in other.partition('id="panel"')[2]


async def test_the_run_of_a_runner_shows_the_attempts_of_its_steps(app, aclient, look, working):
    """[O22]"""

    @app.runner("count", retry=QUICK)
    async def count(step):
        if step.number == 1 and step.attempt < 3:
            raise TimeoutError("slow")
        return Succeed(9) if step.number == 2 else Continue(step.number)

    async with working(app):
        await aclient.submit("count", run_id="c1")
        await aclient.wait("c1", 60)
    page = await look("runs/c1", step="1")
    assert [f'id="row-{number}"' in page for number in range(4)] == [True, True, True, False]
    panel = page.partition('id="panel"')[2]
    assert panel.count("TimeoutError: slow") == 2
    assert "<h2>Result" in page


async def test_a_question_is_answered_on_the_page_of_its_run(
    app, aclient, look, press, http, working
):
    """[O22] And it leads back there."""

    @app.workflow("publish")
    async def publish(ctx):
        return await ctx.ask(bool, "Publish <it>?")

    async with working(app):
        await aclient.submit("publish", run_id="p1")
        await parked(aclient, "p1")
        page = await look("runs/p1")
        assert "Publish &lt;it&gt;?" in page
        [token] = re.findall(r'action="/ui/questions/([^"]+)"', page)
        answer = await press(f"questions/{token}", value="true", back="run")
        assert str(answer.url).endswith("/ui/runs/p1?did=answer")
        assert (await aclient.wait("p1", 60)).result is True
    assert "/ui/questions/" not in (await look("runs/p1")).partition("<main")[2]


async def test_what_lies_beside_the_steps_is_shown(app, aclient, look, working):
    """[O22] Output, signals in the mailbox, the journal, hooks."""

    @app.workflow("talk")
    async def talk(ctx):
        async def say():
            for word in ("so ", "it ", "goes"):
                await ctx.emit(word)

        await ctx.emit("so ")
        await ctx.emit("it goes")
        await ctx.emit({"at": 50}, topic="progress")
        await ctx.step("write", str, 1)
        await ctx.wait_for_signal("go")

    async with working(app):
        await aclient.submit("talk", run_id="t1", webhooks=["http://127.0.0.1:9/hook"])
        await parked(aclient, "t1")
        await aclient.signal("t1", "gone", {"by": "<ann>"})
        page = await look("runs/t1")
        assert "so it goes" in page
        assert "{&#34;at&#34;: 50}" in page
        assert "gone" in page
        assert "&lt;ann&gt;" in page
        assert "/ui/runs/t1/journal" in page
        await aclient.cancel("t1")
    journal = await look("runs/t1/journal")
    assert "write" in journal
    assert "hook" in (await look("runs/t1")).partition("<h2>Hooks")[2]


async def test_a_journal_is_read_a_page_at_a_time(app, aclient, look, http, working):
    """[O22]"""

    @app.workflow("long")
    async def long(ctx):
        for number in range(150):
            await ctx.step(f"s{number}", str, number)

    async with working(app):
        await aclient.submit("long", run_id="l1")
        await aclient.wait("l1", 60)
    first = await look("runs/l1/journal")
    assert ">s0<" in first
    assert ">s100<" not in first
    [later] = re.findall(r'rel="next" href="/ui/([^"]+)"', first)
    second = (await http.get(f"/ui/{later}")).text
    assert ">s149<" in second
    assert "150 entries" in second
    assert (await http.get("/ui/runs/l1/journal?from=-1")).status_code == 422


async def test_children_open_in_place(app, aclient, look, working):
    """[O23] A child by its steps, a map by its children, those that failed first."""

    @app.workflow("leaf")
    async def leaf(ctx, number):
        if number == 7:
            raise PermanentError("seven")
        return await ctx.step("pick", str, number)

    @app.workflow("tree")
    async def tree(ctx):
        child = await ctx.spawn(leaf, 0)
        await child.result()
        await ctx.map(leaf, range(10), join="settled")

    async with working(app):
        await aclient.submit("tree", run_id="t1")
        await aclient.wait("t1", 60)
    page = await look("runs/t1")
    opens = re.findall(r'href="/ui/(runs/t1\?open=[^"#]+)#[^"]*" aria-expanded', page)
    child, group = [step.run_id for step in await aclient.steps("t1")]
    assert len(opens) == 2
    page = await look("runs/t1", open=f"child:{child}|map:{group}")
    assert f'id="row-{child}|0"' in page
    rows = re.findall(rf'id="row-{group}-(\d+)\|run"', page)
    assert rows == ["7", "0", "1", "2", "3", "4", "5", "6", "8", "9"]
    assert f'href="/ui/runs/{group}-7"' in page
    chosen = await look("runs/t1", open=f"child:{child}", step=f"{child}|0")
    assert "step pick" in chosen.partition('id="panel"')[2]


async def test_a_large_value_is_cut_and_can_be_downloaded(aclient, look, http):
    """[O22] The first 64 KB are on the page."""
    await aclient.submit("one", {"text": "x" * 200_000, "token": "t0p"}, run_id="big")
    page = await look("runs/big")
    assert MOST_SHOWN < len(page) < MOST_SHOWN + 20_000
    assert "all 200 KB" in page
    whole = await http.get("/ui/runs/big/value/input")
    assert whole.json() == {"text": "x" * 200_000, "token": "[redacted]"}
    assert "attachment" in whole.headers["content-disposition"]
    assert (await http.get("/ui/runs/big/value/result")).status_code == 404
    assert (await http.get("/ui/runs/big/value/other")).status_code == 404


async def test_secrets_are_hidden_wherever_a_value_stands(app, aclient, look, working):
    """[O19]"""

    @app.workflow("log-in")
    async def log_in(ctx):
        await ctx.step("api_token", str, "t0psecret")
        await ctx.emit({"password": "t0psecret"})
        await ctx.wait_for_signal("go")

    async with working(app):
        await aclient.submit(
            "log-in", {"password": "t0psecret"}, run_id="s1", headers={"authorization": "t0psecret"}
        )
        await parked(aclient, "s1")
        await aclient.signal("s1", "cookie", "t0psecret")
        pages = [
            await look("runs/s1"),
            await look("runs/s1", step="0"),
            await look("runs/s1/journal"),
        ]
        await aclient.cancel("s1")
    assert all("[redacted]" in page for page in pages)
    assert not any("t0psecret" in page for page in pages)


async def test_names_of_all_kinds_are_shown_as_text(app, aclient, look, working):
    """[O22] Markup and control characters in names, keys, variables and topics."""
    evil = "<b onclick=x>\"'\x1b[31m&"

    @app.workflow("odd")
    async def odd(ctx):
        await ctx.step(evil, str, 1)
        await ctx.step("keyed", str, 1, key=evil)
        await ctx.vars.set(evil, evil)
        await ctx.emit(evil, topic=evil)
        await ctx.ask(str, evil)

    async with working(app):
        await aclient.submit("odd", run_id="odd")
        await parked(aclient, "odd")
        places = [("runs/odd", {}), ("runs/odd/journal", {})]
        places += [("runs/odd", {"step": key}) for key in ("0", f"key:{evil}", evil)]
        pages = [await look(place, **query) for place, query in places]
        await aclient.cancel("odd")
    for page in pages:
        assert "<b " not in page
        assert "\x1b" not in page
        assert "&lt;b onclick=x&gt;" in page


async def test_the_worker_of_a_step_and_the_variables_of_a_run_are_shown(
    app, aclient, look, working
):
    """[O22]"""

    @app.workflow("plain")
    async def plain(ctx):
        await ctx.step("first", str, 1)
        await ctx.vars.set("total", 12)

    async with working(app) as worker:
        await aclient.submit("plain", run_id="v1")
        await aclient.wait("v1", 60)
    page = await look("runs/v1", step="0")
    assert worker._options.name in page.partition('id="panel"')[2]
    assert "total</dt>" in page.partition("<h2>Variables")[2]


async def test_four_hundred_steps_with_attempts_make_a_page_of_less_than_300_kb(
    app, aclient, look, working
):
    """[O23] The most that is shown without bundling."""

    tried = set()  # not of the workflow: another activation of it begins anew

    @app.workflow("busy", retry=QUICK)
    async def busy(ctx):
        async def flaky(number):
            if number not in tried:
                tried.add(number)
                raise ValueError("the provider is busy: try again later")

        await asyncio.gather(*(ctx.step(f"fetch page {n}", flaky, n) for n in range(400)))

    async with working(app):
        await aclient.submit("busy", run_id="b1")
        await aclient.wait("b1", 60)
    page = await look("runs/b1")
    assert page.count('class="tr ') == 401
    assert len(page) < 300_000


async def test_what_it_does_now_is_asked_only_where_a_worker_has_it(app, aclient, look, working):
    go = asyncio.Event()

    @app.runner("slow")
    async def slow(step):
        await go.wait()
        return Succeed()

    async with working(app):
        await aclient.submit("slow", run_id="n1")

        async def runs():
            return (await aclient.status("n1")).worker

        await until(runs)
        assert "/ui/runs/n1/now" in await look("runs/n1")
        assert "test_run.py" in await look("runs/n1/now")
        go.set()
        await aclient.wait("n1", 60)
    assert "/ui/runs/n1/now" not in await look("runs/n1")
    assert "no worker is running it" in (await look("runs/n1/now")).replace("&#39;", "'")


async def test_a_page_that_is_as_it_was_is_not_sent_again(aclient, look, http):
    """A run that has ended, or a big one, is not drawn every second."""
    await aclient.submit("one", 1, run_id="e1")
    await aclient.cancel("e1")
    page = await look("runs/e1")
    [seen] = re.findall(r'name="seen" value="([^"]+)"', page)
    again = {"HX-Request": "true"}
    same = await http.get("/ui/runs/e1", params={"seen": seen}, headers=again)
    assert same.status_code == 204
    await aclient.submit("one", 2, run_id="e1", on_conflict="restart")
    other = await http.get("/ui/runs/e1", params={"seen": seen}, headers=again)
    assert other.status_code == 200
    assert "<html" not in other.text
    for odd in ("nan x", "x", "1e999 cancelled 0"):
        assert (await http.get("/ui/runs/e1", params={"seen": odd}, headers=again)).is_success


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.crash)])
async def test_a_map_of_ten_thousand_has_a_small_page(aclient, look, app, working, count):
    """[O22] Whatever the number of its children."""

    @app.workflow("leaf")
    async def leaf(ctx, number):
        await ctx.wait_for_signal("go")

    @app.workflow("wide")
    async def wide(ctx):
        await ctx.map(leaf, range(count), limit=2)

    async with working(app):
        await aclient.submit("wide", run_id="w1")
        await parked(aclient, "w1")
        page = await look("runs/w1")
        assert f"0 of {count:,} ended" in page
        assert len(page) < 30_000
        await aclient.fail("w1")

"""The page of runs, and the buttons of one."""

from __future__ import annotations

import re

from stepflow.engine.steering.audit import this_user


async def test_a_run_is_listed_with_where_it_stands(aclient, look):
    """[O4] The sentence is that of `why`."""
    run = await aclient.submit("nobody", 1, run_id="a1")
    page = await look("runs")
    why = await aclient.why(run.id)
    assert "a1" in page
    assert why.sentence.split(" since ")[0].replace("'", "&#39;") in page


async def test_a_search_takes_conditions_and_says_what_it_looked_at(aclient, look, http):
    for number in range(3):
        await aclient.submit("one", number, run_id=f"one-{number}", headers={"user": f"u{number}"})
    await aclient.submit("two", 1, run_id="two-0")
    page = await look("runs", q="runner=one header.user=u1")
    assert re.findall(r'id="run-([^"]+)"', page) == ["one-1"]
    assert "Searched" in page
    odd = await http.get("/ui/runs", params={"q": "colour=red"})
    assert odd.status_code == 422
    assert "is no condition" in odd.text


async def test_an_id_or_its_beginning_leads_to_the_run(aclient, http, look):
    for name in ("abc-1", "abc-2"):
        await aclient.submit("one", 1, run_id=name)
    assert (await http.get("/ui/runs?q=abc-1")).headers["location"] == "/ui/runs/abc-1"
    assert re.findall(r'id="run-([^"]+)"', await look("runs", q="abc")) == ["abc-1", "abc-2"]
    assert "no run id begins with" in (await http.get("/ui/runs?q=xyz")).text


async def test_rows_stay_where_they_are_and_new_ones_are_counted_above(aclient, http):
    """[O24]"""
    for number in range(3):
        await aclient.submit("one", number, run_id=f"old-{number}")
    page = (await http.get("/ui/runs")).text
    again = re.search(r'hx-get="([^"]+)"', page)[1].replace("&amp;", "&")
    await aclient.submit("one", 1, run_id="new-0")
    await aclient.cancel("old-1")
    fragment = (await http.get(again, headers={"HX-Request": "true"})).text
    assert re.findall(r'id="run-([^"]+)"', fragment) == ["old-2", "old-1", "old-0"]
    assert "1 new" in fragment
    assert "cancelled" in re.search(r'id="run-old-1".*?</tr>', fragment, re.DOTALL)[0]
    assert "<html" not in fragment


async def test_a_button_asks_does_it_and_writes_down_who(aclient, look, press, caplog):
    """[O15] [O25] Without scripts: a page that asks, then the page of the run."""
    caplog.set_level("INFO", "stepflow.audit")
    run = await aclient.submit("nobody", 1, run_id="a1")
    assert 'href="/ui/do/cancel/a1"' in await look("runs/a1")
    asked = await look("do/cancel/a1")
    assert "stepflow cancel a1" in asked
    after = await press("do/cancel/a1", reason="no longer wanted")
    assert "cancelled" in after.text
    status = await aclient.status(run.id)
    assert (status.state, status.reason) == ("cancelled", "no longer wanted")
    [line] = [record.getMessage() for record in caplog.records if "cancel a1" in record.message]
    assert line == f"by={this_user()} cancel a1: no longer wanted"


async def test_a_mistake_in_a_form_is_said_beside_what_was_written(aclient, http):
    await aclient.submit("nobody", 1, run_id="a1")
    answer = await http.post("/ui/do/signal/a1", data={"name": "go", "payload": "{no json"})
    assert answer.status_code == 400
    assert "not JSON" in answer.text
    assert "{no json" in answer.text


async def test_what_was_chosen_is_done_to_each_and_refusals_are_told(aclient, http, look):
    """Those that are in no state for it are left out beforehand, or refused afterwards."""
    for number in range(3):
        await aclient.submit("nobody", number, run_id=f"r{number}")
    await aclient.cancel("r2")
    page = await look("runs")
    assert re.findall(r'name="verb" value="([a-z]+)"', page) == ["pause", "cancel", "delete"]
    asked = await http.get("/ui/chosen", params={"verb": "cancel", "run": ["r0", "r1", "r2"]})
    assert "stepflow cancel r0 r1<" in asked.text
    assert "1 of the selected runs does not exist any more" in asked.text
    form = {"verb": "cancel", "run": ["r0", "r1", "r2"], "reason": "too many"}
    done = await http.post("/ui/chosen", data=form)
    assert "2 done, 1 refused" in done.text
    for run_id in ("r0", "r1"):
        status = await aclient.status(run_id)
        assert (status.state, status.reason) == ("cancelled", "too many")


async def test_what_cannot_be_chosen_is_refused(api, aclient):
    http = api(access=lambda request: {"pause"})
    assert (await http.get("/ui/chosen?verb=fly&run=a")).status_code == 404
    assert (await http.get("/ui/chosen?verb=pause")).status_code == 400
    assert (await http.get("/ui/chosen?verb=pause&run=a%20b")).status_code == 400
    form = {"verb": "cancel", "run": "a"}
    assert (await http.post("/ui/chosen", data=form)).status_code == 403


async def test_a_run_is_submitted_by_a_form(aclient, http, press, look):
    assert "/ui/submit" in await look("runs")
    page = await press("submit", runner="report", payload='{"n": 1}', id="r-1", delay="60")
    assert "r-1" in page.text
    status = await aclient.status("r-1")
    assert (status.runner, status.payload, status.state) == ("report", {"n": 1}, "scheduled")
    for odd in ({"payload": "{"}, {"delay": "soon"}, {"runner": "a b"}, {"queue": "a b"}):
        answer = await http.post("/ui/submit", data={"runner": "report", **odd})
        assert answer.status_code in {400, 422}, odd
        assert 'class="problem"' in answer.text


async def test_who_may_not_submit_is_shown_no_form(api):
    http = api(access=lambda request: {"cancel"})
    assert "/ui/submit" not in (await http.get("/ui/runs")).text
    assert (await http.get("/ui/submit")).status_code == 403
    assert (await http.post("/ui/submit", data={"runner": "report"})).status_code == 403


async def test_children_are_left_out_when_somebody_wants_that(app, aclient, working, look):
    @app.workflow("child")
    async def child(ctx):
        return 1

    @app.workflow("parent")
    async def parent(ctx):
        return await (await ctx.spawn("child")).result()

    async with working(app):
        await (await aclient.submit("parent", run_id="p1")).wait(60)
    assert len(re.findall(r'id="run-', await look("runs"))) == 2
    page = await look("runs", roots="yes")
    assert re.findall(r'id="run-([^"]+)"', page) == ["p1"]
    assert "took" in page

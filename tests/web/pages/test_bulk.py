"""Bulks: looked at beforehand, begun with what was seen, watched."""

from __future__ import annotations

import html
import re


async def test_a_bulk_is_previewed_confirmed_and_watched(app, aclient, working, http, look):
    """[O14] The count is exact, and goes with the form."""
    for number in range(7):
        await aclient.submit("one", number, run_id=f"one-{number}")
    await aclient.submit("two", 1, run_id="two-1")
    page = html.unescape(await look("bulk/preview", verb="cancel", where="runner=one"))
    assert "7 runs" in page
    assert len(re.findall(r'id="run-', page)) == 5
    assert "stepflow cancel --where runner=one" in page
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    begun = await http.post("/ui/bulk", data={**fields, "reason": "not needed", "rate": "1000"})
    assert begun.status_code == 303
    watched = begun.headers["location"].removeprefix("/ui/")
    assert "runner=one" in await look(watched)
    async with working(app):
        for number in range(7):
            assert (await aclient.wait(f"one-{number}", 60)).state == "cancelled"
    assert (await aclient.status("two-1")).state == "pending"


async def test_more_than_was_seen_is_asked_for_again(aclient, http):
    """[O14]"""
    for number in range(3):
        await aclient.submit("one", number)
    form = {"verb": "cancel", "where": "runner=one", "expect": "1"}
    answer = await http.post("/ui/bulk", data=form)
    assert answer.status_code == 409
    assert "3 runs" in answer.text
    assert await aclient.bulks() == []


async def test_a_bulk_is_stopped_and_resumed(aclient, look, press):
    await aclient.submit("one", 1)
    bulk = await aclient.bulk("cancel", "runner=one")
    await press(f"do/stop-bulk/{bulk.id}")
    assert (await aclient.bulk_info(bulk.id)).state == "stopped"
    assert f"/ui/do/resume-bulk/{bulk.id}" in await look(f"bulk/{bulk.id}")
    await press(f"do/resume-bulk/{bulk.id}")
    assert (await aclient.bulk_info(bulk.id)).state != "stopped"


async def test_what_cannot_be_a_bulk_is_said_where_it_was_written(http):
    odd = await http.get("/ui/bulk/preview", params={"verb": "cancel", "where": "colour=red"})
    assert odd.status_code == 422
    assert "is no condition" in odd.text
    assert 'value="colour=red"' in odd.text
    for form in (
        {"verb": "fly", "where": "state=failed"},
        {"verb": "cancel"},
        {"verb": "cancel", "where": "runner=one", "rate": "quick"},
    ):
        assert (await http.post("/ui/bulk", data=form)).status_code in {400, 422}


async def test_a_bulk_needs_the_right_of_its_verb(api, aclient):
    http = api(access=lambda request: {"bulk", "pause"})
    await aclient.submit("one", 1)
    page = (await http.get("/ui/bulk")).text
    assert re.findall(r"<option[^>]*>(\w+)", page) == ["pause"]
    form = {"verb": "cancel", "where": "runner=one"}
    assert (await http.post("/ui/bulk", data=form)).status_code == 403
    assert await aclient.bulks() == []

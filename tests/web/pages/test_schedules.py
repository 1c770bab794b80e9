"""The pages of schedules."""

from __future__ import annotations

from html import unescape

import pytest


@pytest.fixture
async def nightly(aclient):
    return await aclient.schedules.put(
        "nightly", "etl", "30 2 * * *", tz="Europe/Berlin", overlap="buffer_one"
    )


async def test_without_schedules_it_says_how_to_put_one(look):
    """[T1]"""
    assert "stepflow schedules put" in unescape(await look("schedules"))


async def test_the_list_says_when_in_which_zone_and_where_each_stands(look, aclient, nightly):
    """[T1] [T6]"""
    await aclient.schedules.put("weekly", "report", "0 5 * * MON")
    await aclient.schedules.pause("weekly", "<b>audit</b>", by="ada")
    page = await look("schedules")
    for words in ("30 2 * * *", "Europe/Berlin", "active", "by ada", "&lt;b&gt;audit&lt;/b&gt;"):
        assert words in page


async def test_the_page_of_one_has_its_last_and_its_next_times(look, aclient, nightly):
    """[T18] [T20]"""
    run_id = await aclient.schedules.trigger("nightly")
    page = unescape(await look("schedules/nightly"))
    for words in ("it waits for its next time", "buffer_one", run_id, "02:30:00 CE"):
        assert words in page


async def test_one_that_is_not_there_is_a_page_that_says_so(http):
    answer = await http.get("/ui/schedules/nobody")
    assert answer.status_code == 404
    assert "there is no schedule" in answer.text


async def test_its_buttons_do_what_they_say(press, aclient, nightly):
    """[T11] [T12]"""
    paused = await press("do/pause-schedule/nightly", note="audit")
    assert "The schedule is paused." in paused.text
    assert (await aclient.schedules.get("nightly")).note == "audit"
    resumed = await press("do/resume-schedule/nightly")
    assert "The schedule is resumed." in resumed.text
    begun = await press("do/trigger-schedule/nightly")
    assert "The run was started." in begun.text
    assert len((await aclient.list()).runs) == 1
    deleted = await press("do/delete-schedule/nightly")
    assert "The schedule was deleted." in deleted.text
    assert await aclient.schedules.list() == []


async def test_who_may_only_look_sees_no_button(api, aclient, nightly):
    reader = api(access=lambda request: "read")
    page = (await reader.get("/ui/schedules")).text
    assert "nightly" in page
    assert "do/pause-schedule" not in page

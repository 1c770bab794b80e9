"""The pages of groups."""

from __future__ import annotations

from html import unescape

from stepflow import RunSpec


async def test_pages_show_how_groups_stand(look, aclient):
    """[K7]"""
    assert "stepflow group submit" in unescape(await look("groups"))
    await aclient.groups.submit("g", {key: RunSpec("etl", key) for key in "abc"})
    await aclient.fail("g--a", "<b>no disk</b>")
    assert "g</a>" in await look("groups")
    page = await look("groups/g")
    for words in ("all, each to its end", "no disk", "g--a", "g--b", "Retry failed"):
        assert words in page
    assert "<b>no disk</b>" not in page
    assert '/groups/g">g</a>' in await look("runs/g--b")
    await aclient.groups.cancel("g")


async def test_their_buttons_do_what_they_say(press, aclient, look):
    """[K7]"""
    await aclient.groups.submit("g", {key: RunSpec("etl", key) for key in "ab"})
    await aclient.fail("g--a")
    assert "The failed members continue." in (await press("do/retry-group/g")).text
    assert (await aclient.groups.status("g")).live == 2
    assert "The group is cancelled." in (await press("do/cancel-group/g", reason="enough")).text
    assert (await aclient.groups.status("g")).reason == "enough"
    assert "The group is forgotten." in (await press("do/forget-group/g")).text
    assert await aclient.groups.list() == []

"""The operations on shared values, over HTTP, and their page and its button."""

from __future__ import annotations

from html import unescape

import pytest

#: keys, one with what a page might stumble over
NAME, PLACES = "geo-code.v2", ("<i>'\"%2F", "b", "c")
KEY = repr(PLACES[0])


@pytest.fixture
async def shared(app, aclient, working):
    """Three values of one step, computed by runs."""

    @app.workflow("where")
    async def where(ctx, place):
        def look(place):
            return f"{place} is there"

        return await ctx.options(cache=3600, cache_key=place).step(NAME, look, place)

    async with working(app):
        for place in PLACES:
            await (await aclient.submit("where", place)).result()


async def test_shared_values_are_listed_and_dropped(http, shared, aclient):
    """[K17] By what they were computed for; the values themselves are not shown."""
    assert (await http.get("/shared")).json() == [NAME]
    listed = (await http.get(f"/shared/{NAME}", params={"limit": 2})).json()
    assert len(listed) == 2
    rows = (await http.get(f"/shared/{NAME}")).json()
    assert {row["key"] for row in rows} == set(map(repr, PLACES))
    assert "is there" not in str(rows)
    one = await http.post(f"/shared/{NAME}/drop", json={"ids": [rows[0]["id"]]})
    assert one.json() == {"name": NAME, "dropped": 1}
    assert len(await aclient.shared.list(NAME)) == 2
    assert (await http.post(f"/shared/{NAME}/drop", json={})).json()["dropped"] == 2
    assert (await http.get("/shared")).json() == []
    assert (await http.get("/shared/a:b")).status_code == 400


async def test_the_page_lists_what_the_api_lists_and_its_button_drops(http, shared, aclient, api):
    """[K17] [O28] One value, then all; who may only read has no button."""
    page = (await http.get(f"/ui/shared/{NAME}")).text
    rows = (await http.get(f"/shared/{NAME}")).json()
    assert all(f'id="shared-{row["id"]}"' in page for row in rows)
    assert KEY in unescape(page)
    assert KEY not in page
    [of_b] = [row["id"] for row in rows if row["key"] == "'b'"]
    target = f"/ui/do/drop-shared/{NAME}"
    assert target in page
    asked = await http.get(target, params={"ids": of_b})
    assert f'value="{of_b}"' in asked.text
    assert (await http.post(target, data={"ids": of_b})).status_code == 303
    assert {each.key for each in await aclient.shared.list(NAME)} == {KEY, "'c'"}
    assert (await http.post(target, data={"ids": ""})).status_code == 303
    assert not await aclient.shared.names()
    assert "No step has shared a value" in (await http.get("/ui/shared")).text


async def test_keys_are_shown_as_the_redactor_lets_them_be_seen(api, shared):
    """[O19]"""
    private = api(redact=lambda kind, path, value: "hidden" if kind == "shared" else value)
    rows = (await private.get(f"/shared/{NAME}")).json()
    assert {row["key"] for row in rows} == {"hidden"}
    page = (await private.get(f"/ui/shared/{NAME}")).text
    assert "hidden" in page
    assert KEY not in unescape(page)

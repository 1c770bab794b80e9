"""The pages of what flows under control, all alike: buttons by right, page and API agree [O28]."""

from __future__ import annotations

import re
from html import unescape

import pytest

from stepflow import RunSpec
from stepflow.web import reading

#: the pages with rows of their own: where each row's id is in what the API lists
LISTS = {
    "schedules": ("schedule", "id"), "groups": ("group", "id"), "breakers": ("breaker", "name"),
}  # fmt: skip
PAGES = ("schedules", "schedules/nightly", "groups", "groups/g", "breakers", "breakers/stripe",
         "limits", "limits/stripe", "queues", "shared")  # fmt: skip
VERBS = (
    "trigger-schedule/nightly", "pause-schedule/nightly", "resume-schedule/nightly",
    "delete-schedule/nightly", "set-limit/stripe", "unset-limit/stripe", "reset-limit/stripe",
    "open-breaker/stripe", "close-breaker/stripe", "reset-breaker/stripe", "cancel-group/g",
    "retry-group/g", "forget-group/g", "set-weight/fair", "drop-shared/geo",
)  # fmt: skip


@pytest.fixture
async def controlled(aclient, real):
    """One of each."""
    await aclient.schedules.put("nightly", "etl", "30 2 * * *")
    await aclient.limits.set("stripe", concurrency=3)
    await aclient.breakers.open("stripe", 60)
    await aclient.groups.submit("g", {key: RunSpec("etl", key) for key in "ab"})
    for number in range(2):
        await aclient.submit("etl", run_id=f"f{number}", queue="fair", lane="acme")
    yield aclient
    real.flushall()  # what still waits is no leak


async def test_who_may_only_read_has_no_button_and_cannot_press_one(controlled, api):
    """[O18]"""
    readers = api(access=reading)
    for place in PAGES:
        page = await readers.get(f"/ui/{place}")
        assert page.status_code == 200, place
        assert "/ui/do/" not in page.text, place
    for verb in VERBS:
        assert (await readers.get(f"/ui/do/{verb}")).status_code == 403, verb
        assert (await readers.post(f"/ui/do/{verb}", data={"lane": "a"})).status_code == 403, verb


async def test_a_page_lists_what_the_api_lists(controlled, http):
    """[O28]"""
    for place, (kind, name) in LISTS.items():
        page = unescape((await http.get(f"/ui/{place}")).text)
        rows = [row[name] for row in (await http.get(f"/{place}")).json()]
        assert rows
        assert re.findall(rf'<tr id="{kind}-([^"]+)"', page) == rows


@pytest.mark.parametrize(
    ("verb", "given", "says"),
    [
        ("set-weight/fair", {"lane": "acme", "weight": "much"}, "Weight is a number"),
        ("set-weight/fair", {"lane": "acme", "weight": "nan"}, "weight"),
        ("set-weight/fair", {"lane": "acme", "weight": "-1"}, "weight"),
        ("set-weight/fair", {}, "lane"),
        ("set-limit/stripe", {"concurrency": "ten"}, "whole number"),
        ("set-limit/stripe", {"rate": "<b>quick</b>"}, "rate"),
        ("set-limit/stripe", {}, "nothing is set"),
    ],
)
async def test_a_form_that_is_filled_in_wrongly_comes_back_with_what_to_do(
    controlled, http, verb, given, says
):
    """[O22] What was written stays in its field."""
    answer = await http.post(f"/ui/do/{verb}", data=given)
    assert answer.status_code in (400, 422), answer.text
    assert says in answer.text.partition('role="alert"')[2].partition("</p>")[0]
    for value in given.values():
        assert value in unescape(answer.text)
    assert "<b>" not in answer.text


async def test_a_lane_is_weighed_on_the_page_of_queues(controlled, press, http):
    """[L12]"""
    assert "do/set-weight/fair?lane=acme" in (await http.get("/ui/queues")).text
    done = await press("do/set-weight/fair", lane="acme", weight="2.5")
    assert "The lane has its new weight." in done.text
    [lane] = await controlled.lanes("fair")
    assert lane.weight == 2.5

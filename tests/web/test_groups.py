"""The operations on groups, over HTTP."""

from __future__ import annotations

import pytest

LOAD = {"members": {key: {"runner": "etl", "payload": key} for key in "abc"}}


@pytest.fixture
async def load(http):
    answer = await http.put("/groups/load", json=LOAD)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"].endswith("/groups/load")
    return answer.json()


async def test_a_group_is_submitted_shown_and_listed(http, load):
    """[K7]"""
    assert (load["id"], load["total"], load["live"], load["state"]) == ("load", 3, 3, "running")
    assert (await http.put("/groups/load", json=LOAD)).json() == load
    [row] = (await http.get("/groups")).json()
    assert (row["id"], row["oldest"]) == ("load", None)
    assert (await http.get("/groups/load")).json()["oldest"] == "a"


async def test_other_members_are_a_conflict_that_names_the_keys(http, load):
    """[K6]"""
    other = {"members": {"a": LOAD["members"]["a"], "d": {"runner": "etl"}}}
    answer = await http.put("/groups/load", json=other)
    assert (answer.status_code, answer.json()["type"]) == (409, "GroupMismatch")
    assert "1 new: d; 2 missing: b, c" in answer.json()["detail"]


async def test_it_is_retried_cancelled_and_forgotten(http, load, aclient):
    """[K7]"""
    assert (await http.delete("/groups/load")).status_code == 409
    await aclient.fail("load--a")
    assert (await http.post("/groups/load/retry")).json() == {"group": "load", "retried": 1}
    ended = await http.post("/groups/load/cancel", json={"reason": "wrong"})
    assert (ended.json()["state"], ended.json()["reason"]) == ("cancelled", "wrong")
    assert (await http.delete("/groups/load")).json()["forgotten"]
    for method in ("GET", "DELETE"):
        gone = await http.request(method, "/groups/load")
        assert (gone.status_code, gone.json()["type"]) == (404, "GroupNotFound")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"members": [1]}, 400),
        ({"members": {"a": {}}}, 400),
        ({"members": {"a b": {"runner": "etl"}}}, 422),
        ({"join": "most"}, 400),
        ({"timeout": 5}, 422),
        ({"webhooks": ["http://10.0.0.1/"]}, 422),
    ],
)
async def test_what_cannot_be_is_refused(http, change, status):
    answer = await http.put("/groups/load", json={**LOAD, **change})
    assert answer.status_code == status, answer.text

"""The operations on schedules, over HTTP."""

from datetime import datetime

import pytest

NIGHTLY = {"runner": "etl", "cron": "30 2 * * *", "tz": "Europe/Berlin", "payload": {"a": 1}}


@pytest.fixture
async def put(http):
    answer = await http.put("/schedules/nightly", json=NIGHTLY)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_schedule_is_put_shown_and_listed(http, put):
    """[T1]"""
    assert (put["id"], put["runner"], put["when"], put["tz"]) == (
        "nightly", "etl", "30 2 * * *", "Europe/Berlin",
    )  # fmt: skip
    assert (put["state"], put["overlap"], put["catch_up"]) == ("active", "skip", "latest")
    assert (await http.get("/schedules/nightly")).json() == put
    assert (await http.get("/schedules")).json() == [put]
    assert (await http.get("/schedules?offset=1")).json() == []
    assert (await http.get("/schedules/nightly/history")).json() == []


async def test_the_next_times_have_the_offset_of_their_zone(http, put):
    """[T20]"""
    times = (await http.get("/schedules/nightly/next?count=366")).json()
    offsets = {datetime.fromisoformat(each["at"]).utcoffset().seconds for each in times}
    assert offsets == {3600, 7200}
    assert sum(bool(each["note"]) for each in times) == 2


async def test_it_is_paused_and_resumed(http, put):
    """[T11]"""
    paused = (await http.post("/schedules/nightly/pause", json={"note": "audit"})).json()
    assert (paused["state"], paused["note"], paused["next_at"]) == ("paused", "audit", None)
    resumed = (await http.post("/schedules/nightly/resume", json={"catch_up": True})).json()
    assert resumed["state"] == "active"


async def test_it_is_triggered(http, put):
    """[T12]"""
    begun = (await http.post("/schedules/nightly/trigger", json={})).json()
    run = (await http.get(f"/runs/{begun['run']}")).json()
    assert (run["runner"], run["payload"]) == ("etl", {"a": 1})
    [line] = (await http.get("/schedules/nightly/history")).json()
    assert line["run_id"] == begun["run"]


async def test_a_backfill_is_a_bulk(http, put):
    """[T13]"""
    asked = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-10T00:00:00Z", "overlap": "allow"}
    begun = await http.post("/schedules/nightly/backfill", json=asked)
    assert begun.status_code == 202
    assert (await http.get(begun.headers["Location"])).json()["verb"] == "backfill"


async def test_it_is_deleted(http, put):
    assert (await http.delete("/schedules/nightly")).json()["deleted"]
    for method, path in [("DELETE", ""), ("GET", ""), ("GET", "/history"), ("GET", "/next")]:
        gone = await http.request(method, f"/schedules/nightly{path}")
        assert (gone.status_code, gone.json()["type"]) == (404, "ScheduleNotFound")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"cron": "0 0 30 2 *"}, 422),
        ({"tz": "Europe/Bonn"}, 422),
        ({"every": 60}, 422),
        ({"overlap": "sometimes"}, 400),
        ({"at": ["2030-01-01T00:00:00"], "cron": None, "tz": None}, 422),
        ({"timezone": "UTC"}, 400),
        ({"headers": {"workflow.schedule": "x"}}, 422),
    ],
)
async def test_what_cannot_be_is_refused(http, change, status):
    answer = await http.put("/schedules/nightly", json={**NIGHTLY, **change})
    assert answer.status_code == status, answer.text


async def test_who_may_only_look_puts_nothing(api):
    reader = api(access=lambda request: "read")
    assert (await reader.get("/schedules")).status_code == 200
    assert (await reader.put("/schedules/nightly", json=NIGHTLY)).status_code == 403

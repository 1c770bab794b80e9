"""The buttons of what flows under control: each is pressed, and its effect seen in Redis [O27]."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from stepflow import RunSpec
from tests.support import until_blocking

pytestmark = pytest.mark.crash


@pytest.fixture
def press(client, open_tab, request):
    """Press a button of a page, and confirm; with scripts in a dialog, without on a page."""
    page = open_tab(java_script_enabled=request.param).open()
    within = "#dialog" if request.param else "main"

    def press(place: str, name: str, *, row: str = "main", **fields: str) -> None:
        page.goto(f"{page.url.partition('/ui/')[0]}/ui/{place}")
        page.locator(row).get_by_role("button", name=name, exact=True).first.click()
        asked = page.locator(within)
        for label, value in fields.items():
            asked.get_by_label(label.replace("_", " ")).first.fill(value)
        asked.locator("form.confirm button").click()
        expect(page.locator(".done")).to_be_visible()

    return press


with_scripts_and_without = pytest.mark.parametrize("press", [True, False], indirect=True)


@with_scripts_and_without
def test_every_button_of_a_schedule_does_what_it_says(client, press):
    """[O25] [O27]"""
    client.schedules.put("nightly", "etl", "30 2 * * *")
    press("schedules", "Run now")
    until_blocking(lambda: len(client.list().runs) == 1)
    press("schedules", "Pause", Note="audit")
    assert client.schedules.get("nightly").note == "audit"
    press("schedules/nightly", "Resume")
    assert client.schedules.get("nightly").state != "paused"
    press("schedules/nightly", "Delete")
    assert client.schedules.list() == []


@with_scripts_and_without
def test_every_button_of_a_limit_and_of_a_breaker_does_what_it_says(client, press, real):
    """[O25] [O27] Also of a key with a slash."""
    client.limits.set("stripe", concurrency=3)
    press("limits/stripe%5Bacme%2Feu%5D", "Set", Concurrency="7", Rate="5/s")
    seen = client.limits.get("stripe[acme/eu]")
    assert (seen.concurrency, seen.rate) == (7, "5/s")
    press("limits/stripe%5Bacme%2Feu%5D", "Unset")
    assert client.limits.get("stripe[acme/eu]").concurrency == 3
    keys = client.env.keys
    real.set(keys.of_limit("rest", "stripe", ""), "9999999999.0")
    press("limits", "Reset")
    assert not real.exists(keys.of_limit("rest", "stripe", ""))
    client.breakers.open("ledger", 60)
    press("breakers", "Close")
    assert client.breakers.get("ledger").state == "closed"
    press("breakers", "Open", Seconds="60", Note="audit")
    assert client.breakers.get("ledger").note == "audit"
    press("breakers/ledger", "Reset")
    assert client.breakers.get("ledger").opened == 0


@with_scripts_and_without
def test_every_button_of_a_group_and_of_a_lane_does_what_it_says(client, press, real):
    """[O25] [O27]"""
    client.groups.submit("g", {key: RunSpec("etl", key) for key in "ab"})
    client.fail("g--a")
    press("groups/g", "Retry failed")
    assert client.groups.status("g").live == 2
    press("groups/g", "Cancel", Reason="enough")
    assert client.groups.status("g").reason == "enough"
    press("groups/g", "Forget")
    assert client.groups.list() == []
    for number in range(2):
        client.submit("etl", run_id=f"f{number}", queue="fair", lane="acme")
    press("queues", "Weigh", Weight="2.5")
    assert [lane.weight for lane in client.lanes("fair")] == [2.5]
    real.flushall()  # what still waits is no leak


@with_scripts_and_without
def test_shared_values_are_dropped_one_and_all(client, press, app, real):
    """[O25] [O27]"""
    keys = client.env.keys
    for digest in ("a" * 32, "b" * 32, "c" * 32):
        base = f"{keys.shared_values('geo')}:{digest}"
        real.hset(base, mapping={"value": b"1", "label": digest[:1], "run": "r1",
                                 "at": "1.0", "until": "9999999999.0"})  # fmt: skip
        real.expire(base, 600)
        real.zadd(keys.shared_values("geo"), {digest: 9999999999.0})
        real.zadd(keys.shared, {"geo": 9999999999.0})
    press("shared/geo", "Drop", row=f"#shared-{'b' * 32}")
    assert {each.id for each in client.shared.list("geo")} == {"a" * 32, "c" * 32}
    press("shared/geo", "Drop all")
    assert client.shared.names() == []

"""Redis goes, and comes back [O21] [O27]."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from stepflow import Client, RunSpec
from tests.crash.support.server import Server

pytestmark = pytest.mark.crash


@pytest.fixture
def own_server(tmp_path):
    """A server of the test's own."""
    made = Server(tmp_path)
    made.start()
    yield made
    made.close()


def test_what_was_shown_stays_with_its_age_until_redis_is_back(own_server, serve_pages, open_tab):
    with Client(own_server.url) as client:
        run_id = client.submit("nobody", 1).id
    page = open_tab(site=serve_pages(own_server.url)).open("runs")
    own_server.kill()
    expect(page.locator("#away")).to_contain_text("Redis is unavailable")
    expect(page.locator("#away")).to_contain_text("old")
    expect(page.locator(f"#run-{run_id}")).to_be_visible()
    own_server.start()
    expect(page.locator("#away")).to_be_hidden()
    expect(page.locator(f"#run-{run_id}")).to_be_visible()


def test_pages_of_flow_control_stay_until_redis_is_back(own_server, serve_pages, open_tab):
    """[O21] One server is killed for all of them."""
    with Client(own_server.url) as client:
        client.schedules.put("nightly", "etl", "30 2 * * *")
        client.limits.set("stripe", concurrency=3)
        client.groups.submit("load", {"a": RunSpec("etl")})
        client.breakers.open("bank")
        client.budgets.set("acme", usd=1)
    site = serve_pages(own_server.url)
    shown = {
        "schedules": "nightly", "limits": "stripe", "groups": "load", "breakers": "bank",
        "budgets": "acme", "shared": "",
    }  # fmt: skip
    pages = {place: open_tab(site=site).open(place) for place in shown}
    own_server.kill()
    for place, page in pages.items():
        expect(page.locator("#away")).to_contain_text("Redis is unavailable")
        expect(page.locator("main")).to_contain_text(shown[place])
    own_server.start()
    for place, page in pages.items():
        expect(page.locator("#away")).to_be_hidden()
        expect(page.locator("main")).to_contain_text(shown[place])


def test_a_page_that_is_opened_meanwhile_comes_by_itself(own_server, serve_pages, open_tab):
    site = serve_pages(own_server.url)
    own_server.kill()
    page = open_tab(site=site).open("queues")
    expect(page.locator("h1")).to_have_text("Redis is unavailable")
    own_server.start()
    expect(page.locator("h1")).to_have_text("Queues")

"""The page of a run in a browser: its buttons, its timeline, what changes while one looks [O27]."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from stepflow import Client
from tests.browser import seed
from tests.crash.support.server import Server
from tests.support import until_blocking

pytestmark = pytest.mark.crash


@pytest.fixture
def worker(url: str, client: Client) -> Iterator[None]:
    """A worker of the app that fills the database of the pictures, once it is there."""
    with seed.worker(url):
        until_blocking(client.workers)
        yield


def reach(client: Client, run_id: str, state: str) -> None:
    """Wait until a run is in a state."""
    until_blocking(lambda: client.status(run_id).state == state)


def press(page, verb: str, **fields: str) -> None:
    """Press a button of the page, and the one of the dialog that it opens."""
    page.locator(".head").get_by_role("button", name=verb, exact=True).click()
    dialog = page.locator("#dialog")
    for label, value in fields.items():
        dialog.get_by_label(label).fill(value)
    dialog.get_by_role("button", name=verb, exact=True).click()
    expect(page.locator(".done")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390), ("dark", 360)])
def test_the_page_of_every_kind_of_run_fits_the_screen(client, worker, open_tab, scheme, width):
    """[O25] [O27]"""
    client.submit("order", 4, run_id="failed")
    client.submit("crawl", seed.LONG - 20, run_id="runner")
    client.submit("chat", "why?", run_id="output")
    client.submit("approval", "x" * 200, run_id="asks")
    client.submit("publish", 30, run_id="maps")
    client.submit("nobody", {"k" * 90: "v" * 900}, run_id=f"{'n' * 120}", headers={"a" * 60: "b"})
    for run_id in ("failed", "runner", "output", "maps"):
        client.wait(run_id, 60)
    reach(client, "asks", "waiting")
    tab = open_tab(color_scheme=scheme, viewport={"width": width, "height": 800})
    for run_id in ("failed", "runner", "output", "asks", "maps", "n" * 120, "failed/journal"):
        page = tab.open(f"runs/{run_id}")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, (run_id, wide)
        tab.shot(f"run-{run_id[:20].replace('/', '-')}-{scheme}-{width}")


def test_a_run_is_paused_resumed_and_cancelled(client, worker, tab):
    """[O27] Each button is pressed and its effect seen in Redis."""
    run_id = client.submit("onboarding", "ann").id
    reach(client, run_id, "waiting")
    page = tab.open(f"runs/{run_id}")
    press(page, "Pause", Reason="lunch")
    assert client.status(run_id).state == "paused"
    expect(page.locator("#why")).to_contain_text("lunch")
    press(page, "Resume")
    reach(client, run_id, "waiting")
    press(page, "Cancel", Reason="enough")
    reach(client, run_id, "cancelled")
    press(page, "Delete")
    assert client.status(run_id) is None


def test_a_signal_is_sent_to_the_step_that_waits_for_it(client, worker, tab):
    """[O27] The button of the step has its name already."""
    run_id = client.submit("onboarding", "ann").id
    reach(client, run_id, "waiting")
    page = tab.open(f"runs/{run_id}")
    page.locator("#panel").get_by_role("button", name="Send email-confirmed").click()
    dialog = page.locator("#dialog")
    expect(dialog.get_by_label("Name")).to_have_value("email-confirmed")
    dialog.get_by_role("button", name="Signal").click()
    assert client.wait(run_id, 60).result == "welcome"


def test_a_question_is_answered_with_one_press(client, worker, tab):
    """[O27]"""
    run_id = client.submit("approval", "Terms").id
    reach(client, run_id, "waiting")
    page = tab.open(f"runs/{run_id}")
    page.get_by_role("button", name="Yes", exact=True).click()
    expect(page.locator("h1")).to_have_text(run_id)
    assert client.wait(run_id, 60).result == "published"


def test_a_failed_run_is_retried_and_forked(client, worker, tab):
    """[O27] A fork from the step that is chosen, with another input."""
    client.submit("order", 4, run_id="o4")
    client.wait("o4", 60)
    page = tab.open("runs/o4")
    expect(page.locator("#panel")).to_contain_text("card ending in 4004 was declined")
    press(page, "Retry")
    until_blocking(lambda: client.status("o4").generation or client.status("o4").is_finished)
    client.wait("o4", 60)
    page = tab.open("runs/o4")
    page.get_by_role("button", name="Fork from here").click()
    dialog = page.locator("#dialog")
    dialog.get_by_label("Input").fill("8")
    dialog.get_by_label("New id").fill("o4-again")
    dialog.get_by_role("button", name="Fork").click()
    expect(page.locator("h1")).to_have_text("o4-again")
    assert client.wait("o4-again", 60).result["order"] == 8


def test_what_waits_for_a_time_is_run_now(client, tab):
    """[O27]"""
    run_id = client.submit("order", 1, delay=3600).id
    page = tab.open(f"runs/{run_id}")
    press(page, "Run now")
    assert client.status(run_id).state == "pending"
    press(page, "Fail", Reason="not needed")
    assert client.status(run_id).state == "failed"


def test_a_run_that_changes_while_one_looks_is_seen_to_change(client, tab, url):
    """[O24] [O27] State, sentence, timeline and buttons; the row that was chosen stays so."""
    run_id = client.submit("onboarding", "ann").id
    page = tab.open(f"runs/{run_id}")
    expect(page.locator(".chip")).to_have_text("pending")
    with seed.worker(url):
        expect(page.locator(".chip")).to_have_text("waiting")
        expect(page.locator(".tr.now .tn", has_text="email-confirmed")).to_be_visible()
        page.locator(".tl", has_text="create account").click()
        expect(page.locator("#panel")).to_contain_text("step create account")
        client.signal(run_id, "email-confirmed")
        expect(page.locator(".chip")).to_have_text("succeeded")
    expect(page.locator("#panel")).to_contain_text("step create account")
    expect(page.locator(".tr.now")).to_have_count(0)
    assert page.get_by_role("button", name="Cancel").count() == 0


def test_the_timeline_is_walked_by_keys(client, worker, tab):
    """[O25] `j` and `k` go from bar to bar, Enter shows one; the address says which."""
    client.submit("order", 1, run_id="o1")
    client.wait("o1", 60)
    page = tab.open("runs/o1")
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_contain_text("step reserve stock")
    assert "step=0" in page.url
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_contain_text("step charge card")
    page.go_back()
    expect(page.locator("#panel")).to_contain_text("step reserve stock")


def test_children_and_bundles_open_in_place_and_close_again(client, worker, tab):
    """[O23]"""
    client.submit("publish", 30, run_id="p1")
    client.submit("crawl", -100, run_id="c1")
    client.wait("p1", 60)
    client.wait("c1", 60)
    page = tab.open("runs/p1")
    page.get_by_role("link", name="Open render").click()
    expect(page.locator(".tr.d1")).to_have_count(30)
    page.get_by_role("link", name="Close render").click()
    expect(page.locator(".tr.d1")).to_have_count(0)
    page = tab.open("runs/c1")
    expect(page.locator(".tr")).to_have_count(47)
    page.locator(".tl").nth(3).click()
    expect(page.locator(".tr.d1")).not_to_have_count(0)


def test_without_scripts_the_page_reads_and_its_buttons_work(client, worker, open_tab):
    """[O25]"""
    run_id = client.submit("onboarding", "ann").id
    reach(client, run_id, "waiting")
    tab = open_tab(java_script_enabled=False)
    page = tab.open(f"runs/{run_id}")
    expect(page.locator("#why")).to_contain_text("email-confirmed")
    page.locator(".tl", has_text="create account").click()
    expect(page.locator("#panel")).to_contain_text("step create account")
    page.locator(".head").get_by_role("button", name="Pause").click()
    page.get_by_label("Reason").fill("by hand")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".done")).to_be_visible()
    assert client.status(run_id).state == "paused"
    page.locator(".head").get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Resume").click()
    reach(client, run_id, "waiting")


def test_a_run_keeps_its_picture_while_redis_is_away(tmp_path, serve_pages, open_tab):
    """[O21]"""
    server = Server(tmp_path)
    server.start()
    with Client(server.url) as client:
        client.submit("nobody", 1, run_id="r1")
    page = open_tab(site=serve_pages(server.url)).open("runs/r1")
    server.kill()
    expect(page.locator("#away")).to_contain_text("Redis is unavailable")
    expect(page.locator(".chart")).to_be_visible()
    server.start()
    expect(page.locator("#away")).to_be_hidden()
    server.close()


def test_what_it_emits_is_seen_as_it_comes(client, worker, tab):
    """[O24]"""
    run_id = client.submit("chat", "why does the moon make tides? " * 20).id
    page = tab.open(f"runs/{run_id}")
    expect(page.locator(".stream")).to_contain_text("You ask: why does the moon")
    client.wait(run_id, 60)
    expect(page.locator(".chip")).to_have_text("succeeded")

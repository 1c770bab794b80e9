"""The lists and their buttons in a browser [O27]."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from stepflow import Client, Webhook
from stepflow.hooks.ssrf import Allowlist
from tests.browser import seed
from tests.support import until_blocking

pytestmark = pytest.mark.crash

PLACES = ("", "runs", "failures", "queues", "workers", "questions", "hooks", "bulk", "schedules",
          "limits", "breakers", "groups", "shared")  # fmt: skip
#: what is wide does not depend on the scheme; the pictures have every combination
LOOKS = [("light", 1280), ("dark", 390), ("light", 360)]


def asked_by(client: Client, **options: str) -> str:
    """Submit a run that nobody takes."""
    return client.submit("nobody", 1, **options).id


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_every_page_fits_the_screen_in_both_schemes(client, open_tab, scheme, width):
    """[O25] [O26] Nothing is wider than a phone, nothing is asked of another origin."""
    for number in range(30):
        asked_by(client, run_id=f"a-run-with-a-long-name-{'x' * 60}-{number}", queue="gpu")
    client.pause_queue("gpu", "a reason that is as long as reasons are on a bad night " * 3)
    tab = open_tab(color_scheme=scheme, viewport={"width": width, "height": 800})
    for place in (*PLACES, "bulk/preview?verb=cancel&where=queue%3Dgpu", "do/pause-queue/gpu"):
        page = tab.open(place)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, (place, wide)
        tab.shot(f"{place.partition('?')[0].replace('/', '-') or 'now'}-{scheme}-{width}")


def test_a_button_asks_in_a_dialog_and_does_it(client, tab):
    """[O27]"""
    run_id = asked_by(client)
    page = tab.open(f"runs/{run_id}")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text(f"stepflow cancel {run_id}")
    dialog.get_by_label("Reason").fill("changed my mind")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("main")).to_contain_text("cancelled")
    status = client.status(run_id)
    assert (status.state, status.reason) == ("cancelled", "changed my mind")


def test_a_dialog_is_left_without_doing_anything(client, tab):
    run_id = asked_by(client)
    page = tab.open(f"runs/{run_id}")
    page.get_by_role("button", name="Cancel").click()
    page.locator("#dialog").get_by_text("Go back").click()
    expect(page.locator("#dialog")).to_be_hidden()
    assert client.status(run_id).state == "pending"


def test_a_queue_is_paused_and_resumed(client, tab):
    """[O27]"""
    asked_by(client, queue="mail")
    page = tab.open("queues")
    for verb in ("Pause", "Resume"):
        page.get_by_role("button", name=verb).click()
        page.locator("#dialog").get_by_role("button", name=verb).click()
        expect(page.locator(".done")).to_be_visible()
        [queue] = client.queues()
        assert bool(queue.paused) == (verb == "Pause")


def test_a_list_is_live_and_its_rows_stay_where_they_are(client, tab):
    """[O24] What changes is seen where it stands; what is new is counted above."""
    first = asked_by(client)
    page = tab.open("runs")
    client.cancel(first)
    expect(page.locator(f"#run-{first}")).to_contain_text("cancelled")
    second = asked_by(client)
    expect(page.locator(".new")).to_contain_text("1 new")
    expect(page.locator(f"#run-{second}")).to_have_count(0)
    page.get_by_text("1 new").click()
    expect(page.locator(f"#run-{second}")).to_be_visible()


def test_live_pauses_by_key_and_while_text_is_selected(client, tab):
    """[O24] Nothing changes then, and the page says so."""
    run_id = asked_by(client)
    tab.page.clock.install()
    page = tab.open("runs")
    expect(page.locator("#live")).to_have_text("live")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("p")
    expect(page.locator("#live")).to_have_text("paused")
    asked.clear()
    client.cancel(run_id, "nobody wants it")
    page.clock.run_for(10_000)
    assert asked == []
    page.keyboard.press("p")
    expect(page.locator(f"#run-{run_id}")).to_contain_text("cancelled")
    page.locator(f"#run-{run_id} .where").dblclick(position={"x": 30, "y": 16})
    expect(page.locator("#live")).to_have_text("text is selected")


def test_everything_is_reached_by_keys(client, tab):
    """[O25]"""
    ids = [asked_by(client, run_id=f"run-{number}") for number in range(3)]
    page = tab.open()
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/ui/runs")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    expect(page.locator("tr[aria-selected=true]")).to_have_id(f"run-{ids[1]}")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ui/runs/{ids[1]}")
    page.keyboard.press("/")
    page.keyboard.type("runner=nobody")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.wait_for_url("**/ui/queues")


def test_a_selected_row_stays_selected_when_the_page_looks_again(client, tab):
    first, _ = asked_by(client), asked_by(client)
    page = tab.open("runs")
    page.keyboard.press("j")
    page.keyboard.press("j")
    client.cancel(first)
    expect(page.locator(f"#run-{first}")).to_contain_text("cancelled")
    expect(page.locator("tr[aria-selected=true]")).to_have_id(f"run-{first}")


def test_everything_works_without_scripts(client, open_tab):
    """[O25] A page that asks in place of a dialog, a form that leads back."""
    run_id = asked_by(client)
    page = open_tab(java_script_enabled=False).open("runs")
    page.get_by_role("link", name=run_id).click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_label("Reason").fill("no scripts here")
    page.locator("form.confirm").get_by_role("button", name="Cancel").click()
    expect(page.locator("main")).to_contain_text("cancelled")
    assert client.status(run_id).reason == "no scripts here"
    page.get_by_role("navigation", name="Pages").get_by_text("Bulk").click()
    asked_by(client, run_id="another")
    page.get_by_label("Verb").select_option("cancel")
    page.get_by_label("Conditions").fill("runner=nobody state=pending")
    page.get_by_text("Preview").click()
    page.get_by_role("button", name=re.compile("Cancel 1 run")).click()
    expect(page.locator("main")).to_contain_text("runner=nobody")
    [bulk] = client.bulks()
    assert bulk.verb == "cancel"


def test_a_bulk_is_seen_through_from_a_failure_to_its_end(client, app, tab):
    """[O27] Preview, confirm, progress."""
    ids = [asked_by(client) for _ in range(4)]
    page = tab.open("bulk")
    page.get_by_label("Verb").select_option("pause")
    page.get_by_label("Conditions").fill("runner=nobody")
    page.keyboard.press("Enter")
    expect(page.locator(".why")).to_contain_text("4 runs")
    page.get_by_role("button", name="Pause 4 runs").click()
    page.wait_for_url(re.compile("/ui/bulk/[^p]"))
    [bulk] = client.bulks()
    page.get_by_role("button", name="Stop").click()
    page.locator("#dialog").get_by_role("button", name="Stop").click()
    until_blocking(lambda: client.bulk_info(bulk.id).state == "stopped")
    assert {client.status(run_id).state for run_id in ids} == {"pending"}


@pytest.fixture
def working(url, client):
    """A worker of the seed's app, once it is there."""
    with seed.worker(url):
        until_blocking(client.workers)
        yield


def test_questions_are_answered_by_a_click_and_by_words(client, working, tab):
    """[O27] Yes or no, one of several, a text."""
    approval, triage = client.submit("approval", "Menu"), client.submit("triage", "T-1")
    page = tab.open("questions")
    page.locator("section", has_text="Publish 'Menu'?").get_by_role("button", name="Yes").click()
    assert approval.result(60) == "published"
    page.locator("section", has_text="How urgent").get_by_role("button", name="urgent").click()
    section = page.locator("section", has_text="What shall we tell")
    section.get_by_label("Answer").fill('that "it" works')
    section.get_by_role("button", name="Answer").click()
    assert triage.result(60) == 'urgent: that "it" works'


def test_a_delivery_is_sent_again(client, working, tab, monkeypatch):
    """[O27]"""
    monkeypatch.setattr(client, "_allowed", Allowlist.parse(("127.0.0.0/8",)))
    hook = Webhook(seed.receiver())
    client.submit("order", 1, run_id="o-1", webhooks=[hook]).wait(60)
    until_blocking(client.hooks)
    before, page = seed.Gone.asked, tab.open("hooks")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Redeliver").click()
    page.locator("#dialog").get_by_role("button", name="Redeliver").click()
    expect(page.locator(".done")).to_be_visible()
    until_blocking(lambda: seed.Gone.asked == before + 1)


def test_rows_are_chosen_and_wait_until_something_is_done_to_them(client, tab):
    ids = [asked_by(client) for _ in range(3)]
    page = tab.open("runs")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#live")).to_have_text("rows are selected")
    page.get_by_label("Select all").check()
    expect(page.locator(".chosen")).to_contain_text("3 selected")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 3 runs").click()
    expect(page.locator("h1")).to_have_text("Cancel: 3 done")
    assert {client.status(run_id).state for run_id in ids} == {"cancelled"}


def test_whoever_has_a_token_logs_in_and_out(client, url, tmp_path, serve_pages, open_tab):
    token = "a-token-of-the-test-0123"
    (tmp_path / "tokens").write_text(f"ann {token}\n")
    site = serve_pages(url, "--token-file", str(tmp_path / "tokens"))
    page = open_tab(site=site).open("queues")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/ui/queues")
    expect(page.locator("footer")).to_contain_text("ann")
    run_id = asked_by(client)
    page = page.context.pages[0]
    page.goto(f"{site}/ui/do/cancel/{run_id}")
    page.locator("form.confirm").get_by_role("button", name="Cancel").click()
    expect(page.locator("main")).to_contain_text("cancelled")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_cookie_leads_nobody_in_from_another_site(url, tmp_path, serve_pages, chromium):
    """[O18] A form of another origin arrives without the cookie, and is refused all the same."""
    (tmp_path / "tokens").write_text("ann a-token-of-the-test-0123\n")
    site = serve_pages(url, "--token-file", str(tmp_path / "tokens"))
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{site}/ui/")
    page.get_by_label("Token").fill("a-token-of-the-test-0123")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/ui/")
    page.set_content(f'<form method=post action="{site}/ui/do/pause-queue/mail"><button>Go')
    other = context.new_page()
    other.goto("data:text/html,<h1>evil</h1>")
    other.set_content(f'<form method=post action="{site}/ui/do/pause-queue/mail"><button>Go')
    other.get_by_text("Go").click()
    expect(other.locator("body")).to_contain_text(re.compile("another origin|Log in|needs a known"))
    context.close()

"""
Every page of a database with life in it, in both schemes, wide and narrow [O27].

With STEPFLOW_SHOTS=FOLDER the pictures stay there; the two of the README are made so.
"""

from __future__ import annotations

import pytest

from tests.browser import seed

pytestmark = pytest.mark.crash

PLACES = {
    "now": "", "runs": "runs?roots=yes", "failures": "failures", "queues": "queues",
    "workers": "workers", "questions": "questions", "hooks": "hooks", "bulk": "bulk",
    "preview": "bulk/preview?verb=retry&where=state%3Dfailed", "submit": "submit",
    "confirm": "do/cancel/train-12", "run-failed": "runs/order-1004",
    "run-map": "runs/catalogue-2026",
    "run-chain": "runs/crawl-docs", "run-chat": "runs/chat-1", "run-waits": "runs/shipment-7",
    "run-blocked": "runs/train-12", "run-trip": "runs/trip-7",
    "schedules": "schedules", "schedule": "schedules/heartbeat", "limits": "limits",
    "limit": "limits/stripe", "limit-key": "limits/stripe%5Bacme%5D", "groups": "groups",
    "group": "groups/import-2026-11", "breakers": "breakers", "shared": "shared",
    "shared-of": "shared/geocode", "run-machine": "runs/claim-43", "run-machine-failed":
    "runs/claim-44", "run-machine-done": "runs/claim-41", "set-limit": "do/set-limit/stripe",
}  # fmt: skip


@pytest.fixture
def lively(url, real):
    """Runs of all kinds, and a worker that is still there."""
    with seed.life(url) as client:
        yield client
    real.flushall()  # what still waits is no leak


def test_every_page_shows_what_there_is(lively, open_tab):
    for scheme in ("light", "dark"):
        for width in (1280, 390):
            tab = open_tab(color_scheme=scheme, viewport={"width": width, "height": 690})
            for name, place in PLACES.items():
                page = tab.open(place)
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (place, wide)
                assert page.locator("main").inner_text().strip(), place
                tab.shot(f"{name}-{scheme}-{width}")

"""
What axe-core finds in the pages [O25]: contrast, names, order, in both schemes.

`vendor/axe-4.14.1.min.js` is `axe.min.js` of `axe-core` 4.14.1 in the npm registry (MPL-2.0).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from stepflow import Client

pytestmark = pytest.mark.crash

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
DIGEST = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: the dark scheme has the same markup, and other colours
LOOKED_FOR = {
    "light": {"type": "tag", "values": RULES},
    "dark": {"type": "rule", "values": ["color-contrast"]},
}
PLACES = (
    "", "runs", "failures", "queues", "workers", "questions", "hooks", "bulk",
    "bulk/preview?verb=cancel&where=runner%3Dnobody", "do/cancel/r-1", "do/fork/r-1", "runs/r-1",
    "runs/r-1?scale=true&step=0", "runs/r-1/journal", "runs/r-1/now", "runs/r-2",
    "chosen?verb=cancel&run=r-1", "runs?q=colour%3Dred", "nothing", "schedules", "limits",
    "breakers", "groups", "shared",
)  # fmt: skip


def test_the_vendored_file_is_as_it_came():
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == DIGEST


@pytest.mark.parametrize("scheme", LOOKED_FOR)
def test_nothing_keeps_anybody_from_using_a_page(client: Client, open_tab, scheme):
    """[O25]"""
    for number in range(3):
        client.submit("nobody", number, run_id=f"r-{number}", queue="gpu")
    client.pause_queue("mail", "provider down")
    client.cancel("r-2", "not needed")
    client.bulk("pause", "runner=nobody")
    tab = open_tab(color_scheme=scheme)
    for place in PLACES:
        page = tab.open(place)
        page.evaluate(AXE.read_text())
        found = page.evaluate("(only) => axe.run(document, {runOnly: only})", LOOKED_FOR[scheme])
        faults = [
            (place, fault["id"], node["html"][:200])
            for fault in found["violations"]
            for node in fault["nodes"]
        ]
        assert faults == []

"""Whatever stands in Redis is shown as text, everywhere, and what is secret nowhere [O19]."""

from __future__ import annotations

import html
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import pytest

import stepflow
from stepflow import PermanentError, RunSpec, Webhook
from stepflow.web.pages.words import visible
from tests.support import until

EVIL = "<xss onfocus=x>\"'><script>x</script>\x1b[31m\x00\u202e{{7*7}}"
SECRET = "hunter2hunter2"
#: pages that a walk looks at, at most
_MOST = 400
_NORMAL = {
    "a", "aside", "b", "body", "button", "caption", "circle", "code", "dd", "defs", "desc",
    "details", "dialog", "div", "dl", "dt", "em", "figcaption", "figure", "footer", "form", "g",
    "h1", "h2", "h3", "head", "header", "html", "i", "input", "kbd", "label", "li", "line",
    "link", "main", "meta", "meter", "nav", "ol", "option", "output", "p", "path", "pattern",
    "polygon", "polyline", "pre", "progress", "rect", "script", "section", "select", "small",
    "span", "strong", "summary", "svg", "symbol", "table", "tbody", "td", "text", "textarea",
    "datalist", "th", "thead", "time", "title", "tr", "ul", "use",
}  # fmt: skip


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.odd: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in _NORMAL or (tag == "script" and not given.get("src")):
            self.odd.append(tag)
        self.odd += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")


async def walk(http) -> list[tuple[str, str]]:
    """Give every page that links lead to."""
    known, left, pages = {"/ui/"}, ["/ui/"], []
    while left and len(pages) < _MOST:
        place = left.pop(0)
        answer = await http.get(place, follow_redirects=True)
        if "text/html" not in answer.headers.get("content-type", ""):
            # a download, which no page shows: only its secrets count
            assert "attachment" in answer.headers["content-disposition"]
            pages.append((place, html.escape(visible(answer.text))))
            continue
        pages.append((place, answer.text))
        seen = Seen()
        seen.feed(answer.text)
        links = {urldefrag(urljoin(place, link)).url for link in seen.links}
        new = sorted(link for link in links - known if link.startswith("/ui/"))
        known.update(new)
        left += new
    return pages


@pytest.fixture
async def evil(app, aclient, working):
    """Runs with markup and secrets in all that they keep."""

    @app.workflow("evil")
    async def evil(ctx, payload):
        def speak():
            stepflow.emit(EVIL)
            return {EVIL: EVIL, "password": SECRET}

        await ctx.step(EVIL[:90], speak)
        await ctx.vars.set("a" + EVIL, EVIL)
        if payload["fails"]:

            def fail():
                raise PermanentError(EVIL)

            await ctx.step("fail", fail)
        await ctx.ask(bool, EVIL)

    async with working(app, next_wait=lambda *_: None):
        for fails in (True, False):
            await aclient.submit(
                "evil", {"fails": fails, EVIL: EVIL, "token": SECRET}, run_id=f"evil-{fails}",
                headers={f"x{EVIL}": EVIL, "authorization": SECRET}, timeout=10_000,
                webhooks=[Webhook(f"http://127.0.0.1:9/{'<xss>'}?token={SECRET}")],
            )  # fmt: skip
        await aclient.wait("evil-True", 60)
        await until(lambda: _asked(aclient))
        await until(lambda: _dead(aclient))
        await aclient.signal("evil-False", "hello", {EVIL: EVIL, "secret": SECRET})
    for place in ("pending", "cancelled", "paused"):
        await aclient.submit("nobody", EVIL, run_id=place)
    await aclient.cancel("cancelled", EVIL, by=EVIL)
    await aclient.pause("paused", EVIL, by=EVIL)
    await aclient.pause_queue("mail", EVIL, by=EVIL)
    await aclient.bulk("cancel", "error~'<xss>'", reason=EVIL, by=EVIL)
    await aclient.schedules.put("nightly", "nobody", "30 2 * * *", payload=EVIL)
    await aclient.schedules.pause("nightly", EVIL, by=EVIL)
    await aclient.breakers.open("ledger", 60, note=EVIL, by=EVIL)
    await aclient.limits.set(f"stripe[{EVIL}]", concurrency=1)
    for number in range(2):
        await aclient.submit("nobody", run_id=f"f{number}", queue="fair", lane="<xss>\"'")
    await aclient.groups.submit("g", {"a": RunSpec("nobody", EVIL)})
    await aclient.fail("g--a", EVIL)
    await aclient.groups.cancel("g", EVIL, by=EVIL)


async def _asked(aclient):
    return await aclient.questions()


async def _dead(aclient):
    return await aclient.hooks()


@pytest.mark.crash
async def test_every_page_shows_markup_as_text_and_no_secret(evil, http):
    pages = await walk(http)
    assert {"/ui/", "/ui/hooks", "/ui/runs/evil-True"} <= {place for place, _ in pages}
    assert len(pages) > 40
    for place, page in pages:
        seen = Seen()
        seen.feed(page)
        assert seen.odd == [], place
        assert not {"\x1b", "\x00", "\u202e"} & set(page), place
        assert SECRET not in page, place
    shown = "".join(page for _, page in pages)
    assert html.escape(visible(EVIL), quote=False).split("&gt;")[0] in shown


async def test_what_is_searched_for_and_written_wrong_is_shown_as_text(http):
    """What comes in the query comes back as text, too."""
    for place in ("runs?q=", "bulk?where=", "bulk/preview?verb=cancel&where=", "login?next="):
        answer = await http.get(f"/ui/{place}%3Cxss%20onfocus=x%3E%22%27%3E")
        seen = Seen()
        seen.feed(answer.text)
        assert seen.odd == [], place
    answer = await http.get("/ui/%3Cxss%3E")
    assert "<xss" not in answer.text


def test_control_characters_are_visible():
    assert visible("a\x1b[0m\x00\x7f\u202e\n\tb") == "a␛[0m␀␡⌈U+202E⌉\n\tb"
    assert visible("naïve 日本") == "naïve 日本"
    assert visible(3) == 3

"""What all pages have in common: where they stand, who may see them, what they load."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from stepflow import AsyncClient
from stepflow.web import app as make_api
from stepflow.web import everything, reading
from stepflow.web.access import COOKIE, Tokens
from stepflow.web.pages import assets

ALL, READ = "all-0123456789abcdef", "read-0123456789abcdef"
TOKENS = Tokens({ALL: "ann"}, {READ: "bob"})
#: as `npm pack htmx.org@4.0.1` gave them: dist/htmx.min.js
VENDORED = {
    "htmx-4.0.1.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
}


async def test_the_app_leads_to_the_first_page(http):
    for place in ("/", "/ui"):
        assert (await http.get(place)).headers["location"] == "/ui/"


async def test_an_api_alone_has_no_pages(api):
    http = api(pages=False)
    assert (await http.get("/ui/runs")).status_code == 404
    assert (await http.get("/runs")).status_code == 200


async def test_pages_below_another_path_lead_to_each_other(aclient):
    """Whatever a page names is below where the host app mounts it."""
    host = Starlette(routes=[Mount("/admin", make_api(aclient, access=everything, prefix="/flow"))])
    transport = httpx.ASGITransport(host)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        html = (await http.get("/admin/flow/ui/runs")).text
        addresses = re.findall(r'(?:href|src|action|hx-get)="([^"]+)"', html)
        assert len(addresses) > 10
        for address in addresses:
            assert address.startswith(("/admin/flow/ui/", "#")), address
        for address in {each for each in addresses if "/static/" in each}:
            assert (await http.get(address)).status_code == 200
        leads = (await http.get("/admin/flow/")).headers["location"]
        assert leads == "/admin/flow/ui/"


async def test_nothing_is_loaded_from_elsewhere_and_nothing_stands_inline(http):
    """[O26] No other origin is named; no script or style stands in a page; the policy says so."""
    answer = await http.get("/ui/runs")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://|\sstyle=|\son\w+=|<style", answer.text)
    assert re.findall(r"<script(?![^>]*\ssrc=)", answer.text) == []


async def test_what_pages_load_is_light_and_kept_by_browsers(http):
    """[O26]"""
    folder = Path(assets.__file__).parent / "static"
    assert (folder / "stepflow.css").stat().st_size <= 14_336
    assert (folder / "stepflow.js").stat().st_size <= 8_192
    wire = 0
    html = await http.get("/ui/runs")
    for address in {"/ui/runs", *re.findall(r'"(/ui/static/[^"]+)"', html.text)}:
        async with http.stream("GET", address) as answer:
            wire += sum([len(part) async for part in answer.aiter_raw()])
            if "static" in address:
                assert "immutable" in answer.headers["cache-control"]
    assert wire <= 100_000
    scripts = sum(len(gzip.compress(path.read_bytes())) for path in folder.glob("*.js"))
    assert scripts <= 24_576


@pytest.mark.parametrize(("name", "digest"), VENDORED.items())
def test_what_is_vendored_is_as_it_came(name, digest):
    """[O26]"""
    content = (Path(assets.__file__).parent / "static" / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest


async def test_whoever_has_no_token_is_asked_for_it_once(api):
    """[O21] It is asked for, kept as a cookie that only the server reads, and given up."""
    http = api(access=TOKENS)
    asked = await http.get("/ui/runs?q=state%3Dfailed")
    assert asked.status_code == 303
    login = asked.headers["location"]
    assert "Log in" in (await http.get(login)).text
    assert (await http.post(login, data={"token": "wrong-0123456789"})).status_code == 401
    entered = await http.post(login, data={"token": ALL})
    assert entered.headers["location"] == "/ui/runs?q=state%3Dfailed"
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert ALL not in cookie
    assert (await http.get("/ui/runs")).status_code == 200
    assert (await http.get("/runs")).status_code == 200
    await http.post("/ui/logout")
    assert (await http.get("/ui/runs")).status_code == 303


@pytest.mark.parametrize("place", ["//evil.test/", "https://evil.test/", "/\\evil.test"])
async def test_a_login_leads_nowhere_else(api, place):
    http = api(access=TOKENS)
    entered = await http.post("/ui/login", params={"next": place}, data={"token": ALL})
    assert entered.headers["location"].startswith("/ui/")


async def test_a_made_up_cookie_opens_nothing(api):
    http = api(access=TOKENS)
    http.cookies.set(COOKIE, ALL)
    assert (await http.get("/ui/runs")).status_code == 303
    assert (await http.get("/ui/runs", headers={"HX-Request": "true"})).status_code == 401


async def test_who_may_only_look_is_shown_no_buttons_and_can_press_none(api, aclient):
    run = await aclient.submit("nobody", 1)
    http = api(access=reading)
    page = (await http.get(f"/ui/runs/{run.id}")).text
    assert "/do/" not in page
    refused = await http.get(f"/ui/do/cancel/{run.id}")
    assert refused.status_code == 403
    assert 'href="/ui/queues"' in refused.text
    assert (await http.post(f"/ui/do/cancel/{run.id}")).status_code == 403
    assert (await aclient.status(run.id)).state == "pending"


async def test_a_form_of_another_origin_is_refused(http, aclient):
    run = await aclient.submit("nobody", 1)
    for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await http.post(f"/ui/do/cancel/{run.id}", headers=headers)
        assert answer.status_code == 403
    assert (await aclient.status(run.id)).state == "pending"


async def test_a_page_that_there_is_not_says_so(http):
    for path in ("nothing", "runs/nobody", "do/fly/x", "do/cancel/a%20b", "static/x/none.js"):
        assert (await http.get(f"/ui/{path}")).status_code == 404, path


async def test_a_namespace_is_named_where_it_is_not_the_usual_one(aclient, look, url, settings):
    """What one looks at is never mistaken for another deployment's."""
    assert 'class="space"' not in await look("")
    async with AsyncClient(url, namespace="billing", settings=settings) as other:
        transport = httpx.ASGITransport(make_api(other, access=everything))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            page = (await http.get("/ui/")).text
    assert re.search(r'class="space"[^>]*>billing<', page)

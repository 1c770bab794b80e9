"""The page of limits."""

from __future__ import annotations

import re
from html import unescape

import pytest

from stepflow.core.limits.use import write_key


async def test_without_limits_it_says_where_they_come_from(look):
    """[L16]"""
    assert "stepflow limits set NAME" in unescape(await look("limits"))


async def test_it_shows_what_limits_say_and_who_waits(look, aclient, real, keys):
    """[L16] [L19]"""
    await aclient.limits.set("stripe", concurrency=3)
    run = await aclient.submit("r", run_id="a", limits={"stripe": "<b>"})
    real.zadd(keys.of_limit("slots", "stripe", "%3Cb%3E"), {"a": 1.0})
    real.sadd(keys.slots, "stripe|%3Cb%3E")
    page = await look("limits")
    for words in ("stripe", "set-limit", "reset-limit"):
        assert words in page
    assert "&lt;b&gt;" in await look("limits/stripe")
    one = await look("limits/stripe[%3Cb%3E]")
    assert "At work, the longest first" in one
    assert 'runs/a"' in one
    await run.cancel()


@pytest.mark.parametrize("text", ["many", "\u00b2", "9" * 5000])
async def test_what_is_no_number_of_a_form_is_said_on_its_page(http, real, keys, text):
    """[L16]"""
    real.hset(keys.limits, "stripe", "10|||||")
    answer = await http.post("/ui/do/set-limit/stripe", data={"concurrency": text})
    assert answer.status_code == 400
    assert "Concurrency is a whole number" in answer.text
    assert real.hgetall(keys.limits) == {b"stripe": b"10|||||"}


async def test_one_that_is_not_there_is_a_page_that_says_so(http):
    """[L16]"""
    answer = await http.get("/ui/limits/nobody")
    assert answer.status_code == 404


async def test_many_limits_and_keys_make_no_large_page(look, aclient, real, keys):
    """[L16] What is beyond a screen is counted; every link leads to a page."""
    real.hset(keys.limits, mapping={f"limit-{number:04}": "10|||||" for number in range(320)})
    odd = [f"tenant/{number} <b>]" for number in range(100)]
    real.hset(keys.limits, mapping={f"limit-0000[{write_key(key)}]=": "5|||||" for key in odd})
    page = await look("limits")
    assert "The first 300 of 320 by name." in page
    assert "and 95 more" in page
    assert len(page) < 400_000
    assert "<b>" not in page
    [link] = re.findall(r'href="/ui/(limits/limit-0000%5Btenant%2F0%20[^"]+)"', page)[:1]
    assert "tenant/0 &lt;b&gt;]" in await look(link)

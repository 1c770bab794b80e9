"""The page of circuit breakers."""

from __future__ import annotations

from html import unescape


async def test_without_breakers_it_says_where_they_come_from(look):
    """[K10]"""
    assert "stepflow breakers open NAME" in unescape(await look("breakers"))


async def test_the_list_says_how_each_stands_and_has_its_buttons(look, aclient):
    """[K10]"""
    await aclient.breakers.open("stripe", 60, note="<b>audit</b>", by="ada")
    await aclient.breakers.open("ledger", 60)
    await aclient.breakers.close("ledger")
    page = await look("breakers")
    for words in ("by ada", "&lt;b&gt;audit&lt;/b&gt;", "close-breaker", "open-breaker"):
        assert words in page
    assert "ledger" not in await look("breakers/stripe")


async def test_one_that_is_not_there_is_a_page_that_says_so(http):
    """[K10]"""
    answer = await http.get("/ui/breakers/nobody")
    assert answer.status_code == 404
    assert "is not known" in answer.text

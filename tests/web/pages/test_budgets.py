"""The page of budgets."""


async def test_without_budgets_it_says_where_they_come_from(look):
    """[A12]"""
    assert "stepflow budgets set NAME" in await look("budgets")


async def test_the_page_lists_them_with_their_buttons(look, aclient):
    """[A12]"""
    await aclient.budgets.set("tenant:acme", usd="40.50", note="<b>launch</b>")
    page = await look("budgets")
    for words in ("40.50", "&lt;b&gt;launch&lt;/b&gt;", "set-budget", "reset-budget"):
        assert words in page

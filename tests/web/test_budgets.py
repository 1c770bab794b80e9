"""The operations on budgets, over HTTP."""


async def test_a_budget_is_set_listed_and_reset(http):
    """[A12]"""
    assert (await http.get("/budgets")).json() == []
    given = {"usd": "40.50", "tokens": 500, "note": "launch"}
    answer = await http.post("/budgets/tenant:acme/set", json=given)
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert (seen["name"], seen["tokens"], seen["note"]) == ("tenant:acme", 500, "launch")
    assert [each["name"] for each in (await http.get("/budgets")).json()] == ["tenant:acme"]
    reset = (await http.post("/budgets/tenant:acme/reset", json={})).json()
    assert reset["spent"]["settled_tokens"] == 0
    assert (await http.get("/budgets/tenant:acme")).json() == reset
    wrong = await http.post("/budgets/tenant:acme/set", json={"usd": "much"})
    assert wrong.status_code == 400


async def test_a_budget_of_nobody_is_not_found(http):
    """[A12]"""
    assert (await http.post("/budgets/nobody/reset", json={})).status_code == 404
    assert (await http.get("/budgets/nobody")).status_code == 404

"""The operations on circuit breakers, over HTTP, and their page."""


async def test_a_breaker_is_opened_listed_closed_and_reset(http):
    """[K10]"""
    assert (await http.get("/breakers")).json() == []
    opened = await http.post("/breakers/stripe/open", json={"duration": 60, "note": "audit"})
    assert opened.status_code == 200, opened.text
    seen = opened.json()
    assert (seen["name"], seen["state"], seen["note"]) == ("stripe", "open", "audit")
    assert seen["why"].endswith(": audit")
    assert [each["name"] for each in (await http.get("/breakers")).json()] == ["stripe"]
    closed = (await http.post("/breakers/stripe/close", json={})).json()
    assert (closed["state"], closed["opened"], closed["closed"]) == ("closed", 1, 1)
    reset = (await http.post("/breakers/stripe/reset", json={})).json()
    assert (reset["opened"], reset["closed"]) == (0, 0)
    assert (await http.get("/breakers/stripe")).json() == reset


async def test_what_nobody_has_asked_for_is_not_found(http):
    """[K10]"""
    for verb in ("close", "reset"):
        answer = await http.post(f"/breakers/nobody/{verb}", json={})
        assert answer.status_code == 404
    assert (await http.get("/breakers/nobody")).status_code == 404

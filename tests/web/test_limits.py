"""The operations on limits, over HTTP."""

from urllib.parse import quote


async def test_a_limit_is_set_shown_listed_and_taken_back(http):
    """[L16] With a key and without."""
    assert (await http.get("/limits")).json() == []
    given = {"concurrency": 3, "rate": "100/min", "burst": 5}
    seen = await http.put("/limits/stripe", json=given)
    assert seen.status_code == 200, seen.text
    assert {name: seen.json()[name] for name in given} == given
    one = (await http.put("/limits/stripe[acme%20inc]", json={"concurrency": 50})).json()
    assert (one["key"], one["concurrency"], one["rate"]) == ("acme inc", 50, "100/min")
    [listed] = (await http.get("/limits")).json()
    assert (listed["name"], listed["keys_set"]) == ("stripe", ["acme inc"])
    undone = await http.post("/limits/stripe[acme%20inc]/unset", json={})
    assert undone.json() == {"limit": "stripe[acme inc]", "changed": True}
    reset = await http.post("/limits/stripe/reset", json={})
    assert reset.json() == {"limit": "stripe", "changed": False}


async def test_what_cannot_be_is_refused(http):
    """[L16]"""
    assert (await http.get("/limits/nope")).status_code == 404
    assert (await http.put("/limits/x", json={"rate": "quick"})).status_code == 422
    assert (await http.put("/limits/x", json={})).status_code == 422
    assert (await http.put("/limits/x", json={"concurrency": -1})).status_code in (400, 422)


async def test_a_key_may_have_any_character_that_is_no_control(http):
    """[L16] Slashes and brackets as well."""
    for key in ("acme/eu", "a]b[c", "100%", "ключ & co"):
        label = quote(f"stripe[{key}]", safe="")
        seen = await http.put(f"/limits/{label}", json={"concurrency": 2})
        assert seen.status_code == 200, seen.text
        assert (await http.get(f"/limits/{label}")).json()["key"] == key
        assert (await http.post(f"/limits/{label}/unset", json={})).json()["changed"]
        assert (await http.get(f"/ui/limits/{label}")).status_code in (200, 404)
    assert (await http.get("/limits/stripe/unset")).status_code == 405

"""The operations on lanes of fair queues, over HTTP."""


async def test_a_lane_is_weighed_and_a_window_set_and_both_are_taken_back(http, aclient, real):
    """[L12] They are listed with the weights that count."""
    for lane in ("acme", "<b>/eu"):
        await aclient.submit("nobody", run_id=f"of-{lane[:1].strip('<')}1", lane=lane)
    given = {"lane": "<b>/eu", "weight": 2.5}
    seen = await http.put("/queues/default/lanes", json=given)
    assert seen.json() == {"queue": "default", **given}
    lanes = {
        each["lane"]: each["weight"] for each in (await http.get("/queues/default/lanes")).json()
    }
    assert lanes["<b>/eu"] == 2.5  # the first run stands in the RQ list already
    taken = await http.put("/queues/default/lanes", json=given | {"weight": None})
    assert taken.json()["weight"] == 1.0
    window = await http.put("/queues/default/window", json={"size": 7})
    assert window.json() == {"queue": "default", "window": 7}
    assert real.hgetall(aclient.env.keys.fair) == {b"default": b"7"}
    await http.put("/queues/default/window", json={"size": None})
    assert not real.exists(aclient.env.keys.fair)
    real.flushall()  # what still waits is no leak


async def test_a_weight_that_cannot_be_is_refused(http):
    """[L12]"""
    for weight in (0, -1, 5000, "much", True):
        answer = await http.put("/queues/default/lanes", json={"lane": "a", "weight": weight})
        assert answer.status_code in (400, 422), weight
    answer = await http.put("/queues/default/lanes", json={"lane": "\u0007", "weight": 1})
    assert answer.status_code == 422

"""Anybody who reaches the Redis can look at a run."""

from stepflow import RunState


def test_status_says_where_a_run_stands_and_what_it_waits_for(client):
    run = client.submit("report", {"month": 5}, run_id="r1", headers={"tenant": "t1"})
    status = run.status()
    assert (status.state, status.step, status.attempt) == (RunState.PENDING, 0, 1)
    assert (status.payload, status.headers) == ({"month": 5}, {"tenant": "t1"})
    assert status.waits_for == "a worker that listens to 'default'"
    assert client.status("nobody") is None


def test_runs_are_listed_newest_first(client):
    for month in (1, 2, 3):
        client.submit("report", {"month": month}, run_id=f"r{month}")
    page = client.list(state="pending", limit=2)
    assert [run.id for run in page] == ["r3", "r2"]
    assert [run.id for run in client.list(cursor=page.cursor)] == ["r1"]

"""Lanes are shown, and weighed, by clients, the command line, the API and the dashboard."""

import json

import httpx
import pytest
from click.testing import CliRunner

from stepflow import InvalidOption
from stepflow.cli.main import cli
from stepflow.web import app as make_api
from stepflow.web import everything


@pytest.fixture
async def waiting(aclient, real):
    """Ten runs of three tenants, one of which is in the RQ list."""
    await aclient.set_window("default", 1)
    for lane, count in {"acme": 6, "b": 3, "c <i>": 1}.items():
        for number in range(count):
            priority = "high" if (lane, number) == ("b", 2) else "normal"
            await aclient.submit("note", lane=lane, run_id=f"{lane[0]}{number}", priority=priority)
    yield
    real.flushall()


@pytest.fixture
def run(url):
    def call(*args):
        result = CliRunner().invoke(cli, [*args, "--redis-url", url], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return call


@pytest.mark.usefixtures("waiting")
async def test_lanes_come_in_the_order_of_their_turns(aclient):
    """[L12]"""
    await aclient.set_weight("default", "b", 2.5)
    found = await aclient.lanes()
    assert [(lane.lane, lane.waiting, lane.weight) for lane in found] == [
        ("acme", 5, 1.0), ("b", 2, 2.5), ("c <i>", 1, 1.0),
    ]  # fmt: skip
    assert all(0 <= lane.oldest_s < 60 for lane in found)
    assert [lane.lane for lane in await aclient.lanes(most=1)] == ["acme"]
    infos = {info.priority: info for info in await aclient.queues()}
    assert (infos["normal"].length, infos["normal"].lanes) == (9, 3)
    assert (infos["high"].length, infos["high"].lanes) == (1, 0)
    assert await aclient.lanes("other") == []


@pytest.mark.usefixtures("waiting")
async def test_the_command_line_lists_and_weighs(run, aclient, real):
    """[L12]"""
    assert "weight 3" in run("queue", "weigh", "default", "b", "3")
    found = json.loads(run("queue", "lanes", "default", "--json"))
    assert [(lane["lane"], lane["weight"]) for lane in found] == [
        ("acme", 1.0), ("b", 3.0), ("c <i>", 1.0),
    ]  # fmt: skip
    assert "acme" in run("queue", "lanes")
    assert json.loads(run("queues", "--json"))[1]["lanes"] == 3
    run("queue", "weigh", "default", "b")
    run("queue", "window", "default", "5")
    assert real.hgetall("stepflow:fair") == {b"default": b"5"}
    run("queue", "window", "default")
    assert not real.exists("stepflow:fair")


@pytest.mark.usefixtures("waiting")
async def test_the_api_and_the_dashboard_show_lanes(aclient):
    """[L12]"""

    transport = httpx.ASGITransport(make_api(aclient, access=everything))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        found = (await http.get("/queues/default/lanes")).json()
        page = (await http.get("/ui/queues")).text
    assert [lane["lane"] for lane in found] == ["acme", "b", "c <i>"]
    assert "c &lt;i&gt;" in page
    assert "Lanes of default" in page


@pytest.mark.parametrize("weight", [0, -1, float("nan"), 10_001, "3"])
async def test_what_is_no_weight_is_refused(aclient, weight):
    with pytest.raises(InvalidOption, match="is not above 0"):
        await aclient.set_weight("default", "a", weight)
    with pytest.raises(InvalidOption, match="is not 1 to 10,000 runs"):
        await aclient.set_window("default", weight)


async def test_the_command_line_and_the_api_submit_with_all_of_it(run, aclient, real):
    """[L18] [L12] [K16]"""
    once = ["submit", "etl", "1", "--singleton", "k"]
    first = run(*once, "--lane", "acme", "--priority", "7").strip()
    assert first in run(*once)
    status = await aclient.status(first)
    assert (status.lane, status.priority) == ("acme", "7")
    waits = run("submit", "etl", "2", "--debounce", "d", "--wait-for-more", "1h").strip()
    assert waits in run("submit", "etl", "3", "--debounce", "d")
    transport = httpx.ASGITransport(make_api(aclient, access=everything))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        same = await http.post("/runs", json={"runner": "etl", "singleton": {"key": "k"}})
        refuse = {"key": "k", "when_taken": "refuse"}
        refused = await http.post("/runs", json={"runner": "etl", "singleton": refuse})
        later = {"key": "d", "wait": 9, "max_wait": 60}
        put_off = await http.post("/runs", json={"runner": "etl", "payload": 4, "debounce": later})
        level = await http.post("/runs", json={"runner": "etl", "priority": 3, "lane": "b"})
    assert same.json() == {"id": first, "created": False}
    assert (refused.status_code, first in refused.text) == (409, True)
    assert put_off.json()["id"] == waits
    assert (await aclient.status(waits)).payload == 4
    assert (await aclient.status(level.json()["id"])).priority == "3"
    real.flushall()


@pytest.mark.usefixtures("waiting")
async def test_the_list_of_queues_counts_lanes(run):
    """[L12]"""
    assert "3 lanes take turns" in run("queues")

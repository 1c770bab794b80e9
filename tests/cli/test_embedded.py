import json

from stepflow import embedded


def test_without_a_url_the_embedded_server_is_started_and_said_so_in_one_line(start, folder):
    process = start("submit", "etl", "--id", "a1")
    out, err = process.communicate()
    assert out == "a1\n"
    (line,) = err.splitlines()
    assert line.startswith("embedded ")
    assert str(folder / ".stepflow") in line
    later = start("list", "--json").communicate()[0]
    assert [run["id"] for run in json.loads(later)["runs"]] == ["a1"]


def test_redis_status_url_and_stop_look_after_it(start, folder):
    before = start("redis", "status")
    assert "does not run" in before.communicate()[0]
    assert before.returncode == 7
    server = embedded.ensure(folder / ".stepflow")
    try:
        assert start("redis", "url").communicate()[0].strip() == server.url
        status = start("redis", "status", "--json")
        assert json.loads(status.communicate()[0])["running"] is True
        assert start("redis", "stop").communicate()[0] == "stopped\n"
        assert embedded.status(folder / ".stepflow") is None
    finally:
        embedded.release(folder / ".stepflow")

import json
from dataclasses import fields
from datetime import datetime

import pytest

from stepflow import RunStatus, Webhook


def test_submit_prints_the_id_alone_so_that_a_shell_can_take_it(run, client):
    result = run(
        "submit",
        "etl",
        '{"a": 1}',
        "--header",
        "tenant=t1",
        "--queue",
        "slow",
        "--priority",
        "high",
    )
    status = client.status(result.stdout.strip())
    assert (status.payload, status.headers) == ({"a": 1}, {"tenant": "t1"})
    assert (status.queue, status.priority) == ("slow", "high")


def test_the_same_submit_again_finds_the_run_and_says_so(run):
    assert json.loads(run("submit", "etl", "1", "--id", "a1", "--json").stdout) == {
        "id": "a1",
        "created": True,
    }
    again = run("submit", "etl", "1", "--id", "a1", "--json")
    assert json.loads(again.stdout) == {"id": "a1", "created": False}
    assert "was there already" in again.stderr


def test_another_input_under_the_same_id_is_an_error_and_changes_nothing(run, client):
    run("submit", "etl", "1", "--id", "a1")
    result = run("submit", "etl", "2", "--id", "a1")
    assert (result.exit_code, client.status("a1").payload) == (1, 1)
    assert "different input" in result.stderr


def test_the_payload_may_come_on_stdin(run, client):
    run("submit", "etl", "-", "--id", "a1", stdin='{"from": "stdin"}')
    assert client.status("a1").payload == {"from": "stdin"}


def test_durations_have_units(run, client):
    run("submit", "etl", "--id", "a1", "--delay", "2h", "--timeout", "1d", "--on-timeout", "end")
    status = client.status("a1")
    assert round((status.due_at - status.created_at).total_seconds()) == 7200
    assert round((status.deadline_at - status.created_at).total_seconds()) == 86400


def test_list_gives_json_with_the_keys_of_run_status_and_times_in_iso_8601(run, client):
    client.submit("etl", {"x": 1}, run_id="a1")
    (shown,) = json.loads(run("list", "--json").stdout)["runs"]
    assert list(shown) == [field.name for field in fields(RunStatus)]
    assert datetime.fromisoformat(shown["created_at"]) == client.status("a1").created_at


def test_list_filters_and_pages_newest_first(run, client):
    for number in range(5):
        client.submit("etl" if number else "other", number, run_id=f"a{number}")
    first = json.loads(run("--json", "list", "--runner", "etl", "--limit", "3").stdout)
    rest = json.loads(
        run("--json", "list", "--runner", "etl", "--limit", "3", "--cursor", first["cursor"]).stdout
    )
    assert [run["id"] for run in first["runs"] + rest["runs"]] == ["a4", "a3", "a2", "a1"]
    assert json.loads(run("list", "--state", "failed", "--json").stdout)["runs"] == []


def test_list_without_a_terminal_is_aligned_text_for_pipes(run, client):
    client.submit("etl", run_id="a1")
    head, row = run("list").stdout.splitlines()
    assert head.split()[:4] == ["RUN", "RUNNER", "STATE", "STEP"]
    assert row.split()[:4] == ["a1", "etl", "pending", "0"]
    assert head.index("STATE") == row.index("pending")


def test_a_run_may_be_named_by_the_unique_beginning_of_its_id(run, client):
    client.submit("etl", run_id="abc-1")
    client.submit("etl", run_id="abd-2")
    client.cancel("abd-2")
    assert json.loads(run("show", "abc", "--json").stdout)["id"] == "abc-1"
    ambiguous = run("show", "ab")
    assert ambiguous.exit_code == 1
    assert "abc-1" in ambiguous.stderr
    assert "abd-2" in ambiguous.stderr


def test_a_whole_id_is_not_ambiguous_though_others_begin_with_it(run, client):
    client.submit("etl", run_id="a")
    client.submit("etl", run_id="ab")
    assert json.loads(run("show", "a", "--json").stdout)["id"] == "a"


def test_show_tells_what_a_run_waits_for(run, client):
    client.submit("etl", {"x": 1}, run_id="a1", headers={"k": "v"})
    shown = run("show", "a1").stdout
    assert "waits for  a worker that listens to 'default'" in shown
    assert 'payload    {"x": 1}' in shown


def test_cancel_ends_a_waiting_run_and_keeps_the_reason(run, client):
    client.submit("etl", run_id="a1")
    assert "cancelled" in run("cancel", "a1", "--reason", "not needed").stdout
    assert client.status("a1").reason == "not needed"
    again = run("cancel", "a1")
    assert again.exit_code == 1
    assert "cancelled already" in again.stderr


def test_cancel_and_wait_exits_as_the_run_did(run, client):
    client.submit("etl", run_id="a1")
    assert run("cancel", "a1", "--wait").exit_code == 4


def test_result_of_a_run_that_does_not_end_in_time_exits_6(run, client):
    client.submit("etl", run_id="a1")
    result = run("result", "a1", "--timeout", "10ms")
    assert result.exit_code == 6
    assert "still pending" in result.stderr


def test_fail_ends_a_run_by_hand_once(run, client):
    client.submit("etl", run_id="a1")
    assert run("fail", "a1", "--reason", "not wanted").stdout == "run a1 is failed\n"
    assert client.status("a1").reason == "not wanted"
    again = run("fail", "a1")
    assert again.exit_code == 1
    assert "there is nothing to fail" in again.stderr


def test_retry_is_for_failed_runs(run, client):
    client.submit("etl", run_id="a1")
    result = run("retry", "a1")
    assert result.exit_code == 1
    assert "only a failed run" in result.stderr


def test_a_namespace_is_another_stepflow_on_the_same_redis(run, client):
    client.submit("etl", run_id="mine")
    run("submit", "etl", "--id", "theirs", "--namespace", "other")
    assert [
        r["id"] for r in json.loads(run("list", "--json", "--namespace", "other").stdout)["runs"]
    ] == ["theirs"]
    assert [r["id"] for r in json.loads(run("list", "--json").stdout)["runs"]] == ["mine"]


def test_no_secret_of_a_webhook_is_listed(run, client):
    secret = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
    client.submit("etl", run_id="a1", webhooks=[Webhook("https://example.com/?key=hidden", secret)])
    client.cancel("a1")
    listed = [run("hooks", "list", "--run", "a1", *more).stdout for more in ([], ["--json"])]
    assert "example.com" in listed[0]
    assert json.loads(listed[1])[0]["state"] == "pending"
    assert not any(
        "hidden" in text or "c2Vjc" in text
        for text in [*listed, run("show", "a1", "--json").stdout]
    )


def test_queues_say_what_waits_where_and_since_when(run, client, real):
    client.submit("etl", run_id="a1", queue="mail", priority="high")
    client.submit("etl", run_id="a2", queue="mail")
    real.sadd("rq:queues", "rq:queue:foreign")
    real.rpush("rq:queue:foreign", "0f3ac5a4-foreign")
    found = json.loads(run("queues", "--json").stdout)
    real.delete("rq:queue:foreign")
    assert [(q["queue"], q["priority"], q["length"], q["is_foreign"]) for q in found] == [
        ("foreign", "normal", 1, True), ("mail", "high", 1, False), ("mail", "normal", 1, False)
    ]  # fmt: skip
    assert 0 <= found[1]["oldest_s"] < 60


def test_queues_of_another_namespace_are_not_ours(run, client):
    run("submit", "etl", "--namespace", "other")
    assert json.loads(run("queues", "--json").stdout) == []
    assert (
        json.loads(run("queues", "--json", "--namespace", "other").stdout)[0]["queue"] == "default"
    )


def test_a_version_is_given_at_submit_and_shown_unless_it_is_the_first(run, client):
    """[F6]"""
    run("submit", "etl", "--id", "a1")
    run("submit", "etl", "--id", "a2", "--version", "2")
    assert [client.status(each).version for each in ("a1", "a2")] == [1, 2]
    assert "version    2" in run("show", "a2").stdout
    assert "version" not in run("show", "a1").stdout
    assert run("submit", "etl", "--version", "0").exit_code == 2


def test_a_submit_through_an_app_takes_the_newest_version_that_it_registers(
    run, client, tmp_path, monkeypatch
):
    """[F6]"""
    code = "from stepflow import Stepflow\napp = Stepflow()\n"
    code += "".join(f"app.workflow('w', version={n})(lambda ctx: None)\n" for n in (1, 3))
    (tmp_path / "vapp.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    run("--app", "vapp:app", "submit", "w", "--id", "a1")
    run("--app", "vapp:app", "submit", "w", "--id", "a2", "--version", "1")
    assert [client.status(each).version for each in ("a1", "a2")] == [3, 1]
    wrong = run("--app", "vapp:app", "submit", "v")
    assert "known: w" in wrong.stderr


def test_waiting_for_a_run_that_no_worker_takes_says_so_at_once(start, url):
    """[U4] Nobody listens to its queue."""
    process = start("submit", "etl", "--queue", "other", "--wait", STEPFLOW_REDIS_URL=url)
    assert process.stderr.readline().startswith("run ")
    said = process.stderr.readline()
    assert said == (
        "no live worker listens to 'other'; "
        "start one with stepflow worker package.module:app --queue other\n"
    )


@pytest.mark.crash
def test_waiting_for_a_runner_that_no_worker_knows_says_so_at_once(start, url, at_work):
    """[U4]"""
    process = start("submit", "countdwon", "--wait", STEPFLOW_REDIS_URL=url)
    said = next(line for line in process.stderr if "no live worker on" in line)
    assert "on 'default' knows runner 'countdwon'; did you mean 'countdown'?" in said


def test_waiting_for_a_run_that_a_worker_takes_says_nothing_more(program, at_work):
    """[U4]"""
    done = program("submit", "countdown", '{"n": 1}', "--id", "a1", "--wait")
    assert (done.stderr, done.returncode) == ("run a1\n", 0)

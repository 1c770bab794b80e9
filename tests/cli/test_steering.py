"""`stepflow pause`, `run-now` and their like."""

import json


def test_a_run_is_paused_and_resumed_by_hand(run, client):
    """[O9]"""
    client.submit("etl", run_id="a1", delay=1000)
    said = run("pause", "a1", "--reason", "provider down")
    assert (said.exit_code, said.stdout) == (0, "run a1 is paused\n")
    status = client.status("a1")
    assert (status.state, status.reason) == ("paused", "provider down")
    assert "@" in status.waits_for
    assert run("resume", "a1").exit_code == 0
    assert client.status("a1").state == "scheduled"


def test_many_are_paused_and_each_is_told_by_itself(run, client):
    """[O9]"""
    client.submit("etl", run_id="a1")
    client.submit("etl", run_id="a2")
    client.cancel("a2")
    said = run("pause", "a1", "a2", "--json")
    assert said.exit_code == 1
    assert [item.get("state", "no") for item in json.loads(said.stdout)] == ["paused", "no"]
    assert "a2' cannot be paused: it is cancelled" in said.stderr


def test_a_scheduled_run_is_started_now(run, client):
    """[O10]"""
    client.submit("etl", run_id="a1", delay=1000)
    assert run("run-now", "a1").stdout == "run a1 is due now\n"
    assert run("run-now", "a1").stdout == "run a1 is in its queue already\n"
    assert client.status("a1").state == "pending"


def test_a_queue_is_paused_and_resumed(run, client):
    """[O12]"""
    assert run("queue", "pause", "mail", "--reason", "down").stdout == "queue mail is paused\n"
    assert run("queue", "pause", "mail").stdout == "queue mail was paused already\n"
    listed = run("queues").stdout
    assert "paused by" in listed
    assert "ago: down" in listed
    client.submit("etl", run_id="a1", queue="mail")
    assert "provider" not in client.status("a1").waits_for
    assert "somebody to resume queue 'mail'" in client.status("a1").waits_for
    assert json.loads(run("queue", "resume", "mail", "--json").stdout) == {
        "queue": "mail",
        "changed": True,
    }
    assert run("queue", "resume", "mail").stdout == "queue mail is not paused\n"


def test_an_ended_run_is_deleted_and_a_live_one_only_by_force(run, client):
    """[O11]"""
    client.submit("etl", run_id="a1", delay=1000)
    said = run("delete", "a1")
    assert said.exit_code == 1
    assert "cancel it first" in said.stderr
    assert run("delete", "a1", "--force").stdout == "run a1 is deleted\n"
    assert run("delete", "a1").exit_code == 5


def test_who_cancels_a_run_is_kept(run, client, real, keys):
    """[O15]"""
    client.submit("etl", run_id="a1")
    run("cancel", "a1")
    assert b"@" in real.hget(keys.run("a1"), "stop_by")


def test_a_signal_starts_a_run_that_is_not_there(run, client):
    """[K23] And the latest takes the place of those before."""
    words = ("--start", "etl", "--input", "[1]")
    assert run("signal", "s1", "go", "7", *words).stdout == "signal go for run s1: started\n"
    assert client.status("s1").payload == [1]
    assert run("signal", "s1", "go", "8", "--keep", "latest").exit_code == 0
    assert [mail.payload for mail in client.mailbox("s1")] == [8]
    client.cancel("s1")
    assert run("signal", "s1", "go", *words).exit_code == 1
    said = run("signal", "s1", "go", *words, "--restart", "--json")
    assert json.loads(said.stdout)["answer"] == "started"
    assert client.status("s1").generation == 1

"""`stepflow schedules`."""

import json

import pytest


@pytest.fixture
def nightly(run):
    said = run("schedules", "put", "nightly", "etl", "30 2 * * *", "--tz", "Europe/Berlin")
    assert said.exit_code == 0, said.stderr
    return said.stdout


def test_what_is_put_is_shown_and_listed(run, nightly):
    """[T1] [T6] Its time zone stands in the list."""
    assert "when       30 2 * * *" in nightly
    [head, row] = run("schedules", "list").stdout.splitlines()
    assert head.split()[:5] == ["SCHEDULE", "RUNNER", "WHEN", "ZONE", "STATE"]
    assert "Europe/Berlin  active" in row
    shown = run("schedules", "show", "nightly")
    assert "state      active" in shown.stdout
    assert "none of its times has come yet" in shown.stderr


def test_each_option_of_a_schedule(run, client):
    """[T1]"""
    said = run(
        "schedules", "put", "s", "etl", "--every", "1h", "--offset", "5m", "--payload", '{"a": 1}',
        "--jitter", "30s", "--overlap", "allow", "--catch-up", "all", "--catch-up-within", "2d",
        "--until", "2099-01-01T00:00:00Z", "--max-runs", "3", "--pause-on-failure", "--queue", "q",
        "--priority", "low", "--timeout", "10m", "--json",
    )  # fmt: skip
    assert said.exit_code == 0, said.stderr
    seen = json.loads(said.stdout)
    assert (seen["when"], seen["overlap"], seen["catch_up"], seen["queue"]) == (
        "every 3600 s and 300 s", "allow", "all", "q",
    )  # fmt: skip
    run_id = run("schedules", "trigger", "s").stdout.strip()
    status = client.status(run_id)
    assert (status.payload, status.priority) == ({"a": 1}, "low")
    assert status.deadline_at is not None


def test_given_times_may_be_so_long_from_now(run, client):
    said = run("schedules", "put", "s", "etl", "--at", "1h", "--at", "2099-01-01T00:00:00Z")
    assert said.exit_code == 0, said.stderr
    assert client.schedules.get("s").when == "at 2 given times"


def test_the_next_times_say_what_the_clock_does(run, nightly):
    """[T20]"""
    lines = run("schedules", "next", "nightly", "-n", "366").stdout.splitlines()
    assert lines[0].split() == ["TIME", "HERE", "CLOCK"]
    assert sum("the clock goes forward by 60 min that day" in line for line in lines) == 1
    assert sum("the clock goes back by 60 min that day" in line for line in lines) == 1


def test_it_is_paused_resumed_and_deleted(run, nightly):
    """[T11]"""
    paused = run("schedules", "pause", "nightly", "--note", "audit").stdout
    assert paused == "schedule nightly is paused\n"
    assert "note       audit" in run("schedules", "show", "nightly").stdout
    assert run("schedules", "pause", "nightly").stdout == "schedule nightly was paused already\n"
    resumed = run("schedules", "resume", "nightly", "--catch-up").stdout
    assert resumed == "schedule nightly is resumed\n"
    assert run("schedules", "delete", "nightly").stdout == "schedule nightly is deleted\n"
    assert run("schedules", "delete", "nightly").exit_code == 5
    gone = run("schedules", "show", "nightly")
    assert (gone.exit_code, gone.stdout) == (5, "")
    assert "there is no schedule 'nightly'" in gone.stderr


def test_why_takes_a_schedule_as_well(run, nightly):
    """[T19]"""
    said = run("why", "nightly").stdout
    assert said.startswith("schedule nightly is active: it waits for its next time")
    assert json.loads(run("why", "nightly", "--json").stdout)["state"] == "active"
    assert run("why", "nobody").exit_code == 5
    run("schedules", "trigger", "nightly")  # its id begins as the schedule's does
    assert run("why", "nightly").stdout == said


@pytest.mark.crash
def test_the_doctor_puts_a_lost_one_back(run, nightly, real):
    """[T19]"""
    assert run("doctor").exit_code == 0
    real.zrem("stepflow:due", "sched:nightly")
    assert "X11" in run("doctor").stdout
    assert run("doctor", "--repair").exit_code == 0
    assert real.zscore("stepflow:due", "sched:nightly")


def test_a_backfill_begins_a_bulk(run, nightly, client):
    """[T13]"""
    said = run("schedules", "backfill", "nightly", "--from", "10d", "--overlap", "allow", "--json")
    assert json.loads(said.stdout)["verb"] == "backfill"
    assert client.bulks()[0].where == "nightly"


@pytest.mark.parametrize(
    "words",
    [
        ["put", "s", "etl", "0 0 30 2 *"],
        ["put", "s", "etl"],
        ["put", "a b", "etl", "0 2 * * *"],
        ["put", "s", "etl", "0 2 * * *", "--every", "1h"],
        ["put", "s", "etl", "0 2 * * *", "--overlap", "maybe"],
        ["nothing"],
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(run, words):
    said = run("schedules", *words)
    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.strip()

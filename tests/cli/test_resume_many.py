"""[U7] `stepflow resume` for many: by runner, by conditions, as often as you like."""

import json

import pytest

from stepflow.store.connection.sync import SyncConnection
from stepflow.store.runs import Fence, load_run, pause_run


@pytest.fixture
def paused(real, keys, client):
    """Submit a run and pause it for a reason."""
    connection = SyncConnection(real, "the test's server")

    def pause(run_id, runner="order", reason="code changed: at place 0", **options):
        client.submit(runner, run_id=run_id, **options)
        run = connection.call(load_run(keys, run_id))
        fence = Fence("", "request")
        connection.call(pause_run(keys, run, fence, reason=reason, now=1.0))
        real.zrem(keys.queued_at(keys.queue_of(run)), f"run:{run_id}")  # a claim had taken it

    return pause


def states(client, *run_ids):
    return [str(client.status(run_id).state) for run_id in run_ids]


@pytest.mark.parametrize(
    ("options", "goes_on"),
    [
        (["--all"], {"a", "b", "c", "d"}),
        (["--runner", "order", "--all"], {"a", "b", "d"}),
        (["--where", "workflow=order reason~code"], {"a", "d"}),
        (["--where", "runner=order queue=gpu"], {"d"}),
        (["--where", "reason='damaged: a field'"], {"b"}),
        (["--where", "id~c"], {"c"}),
        (["--where", "header.tenant=t1"], {"d"}),
        (["--where", "version=2"], set()),
        (["--where", "workflow=nobody"], set()),
    ],
)
def test_those_that_fit_go_on_and_a_second_time_changes_nothing(
    run, paused, client, monkeypatch, options, goes_on
):
    monkeypatch.setattr("stepflow.cli.signal.PAGE", 2)
    paused("a")
    paused("b", reason="damaged: a field")
    paused("c", runner="other")
    paused("d", queue="gpu", headers={"tenant": "t1"})
    client.submit("order", run_id="e")
    answer = run("resume", *options)
    assert (answer.exit_code, answer.stdout) == (0, f"{len(goes_on)} paused runs go on\n")
    for run_id in "abcd":
        assert states(client, run_id) == ["pending" if run_id in goes_on else "paused"], run_id
    again = run("resume", *options, "--json")
    assert (again.exit_code, json.loads(again.stdout)) == (0, {"resumed": [], "problems": []})


def test_one_that_was_not_repaired_is_named_and_keeps_no_other_back(
    run, paused, client, real, keys
):
    paused("a")
    paused("b")
    real.hset(keys.run("b"), "inbox", "many")
    answer = run("resume", "--all")
    assert answer.exit_code == 1
    assert "1 paused runs go on" in answer.stdout
    assert "run 'b'" in answer.stderr
    assert states(client, "a") == ["pending"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name RUNs, or give --where"),
        (["a", "--all"], "name RUNs, or give --where"),
        (["--runner", "order"], "name RUNs, or give --where"),
        (["--where", "colour=red"], "'colour=red' is no condition"),
        (["--where", "reason"], "'reason' is no condition"),
        (["--where", ""], "there is no condition in"),
        (["--where", "reason='a"], "No closing quotation"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake(run, arguments, words):
    answer = run("resume", *arguments)
    assert answer.exit_code == 2
    assert words in answer.stderr

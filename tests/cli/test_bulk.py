"""Verbs with --where, and `stepflow bulk`."""

import json

import pytest


@pytest.fixture
def some(client):
    for number in range(6):
        client.submit("xy"[number % 2], run_id=f"r{number}", delay=1000)


@pytest.mark.usefixtures("some")
def test_a_dry_run_counts_what_fits_and_does_nothing(run, client):
    """[O14]"""
    said = run("cancel", "--where", "runner=x", "--dry-run")
    assert said.exit_code == 0
    assert said.stdout.startswith("3 runs fit: ")
    seen = json.loads(run("pause", "--where", "state=scheduled", "--dry-run", "--json").stdout)
    assert (seen["count"], seen["is_exact"], len(seen["examples"])) == (6, True, 5)
    assert run("retry", "--where", "runner=x", "--dry-run").stdout == "0 runs fit\n"
    assert client.bulks() == []


@pytest.mark.usefixtures("some")
def test_a_program_has_to_say_yes(run, client):
    """[O13]"""
    said = run("cancel", "--where", "runner=x")
    assert said.exit_code == 2
    assert "3 runs fit; give --yes to cancel them" in said.stderr
    assert client.bulks() == []


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (["cancel", "--reason", "wrong"], "cancel"),
        (["pause"], "pause"),
        (["signal", "go", "7"], "signal"),
    ],
)
def test_a_verb_for_many_begins_a_bulk_that_can_be_looked_at(run, client, words, verb):
    """[O13] Who began it stands in it."""
    said = run(*words, "--where", "runner=x", "--yes", "--rate", "50")
    assert said.exit_code == 0, said.stderr
    [bulk] = client.bulks()
    assert (bulk.verb, bulk.where, bulk.rate) == (verb, "runner=x", 50.0)
    assert "@" in bulk.by
    assert f"bulk {bulk.id}: {verb} 3 runs, 50 a second" in said.stdout
    assert bulk.id in run("bulk", "list").stdout
    assert "being selected" in run("bulk", "show", bulk.id).stdout
    assert "stopped" in run("bulk", "stop", bulk.id).stdout
    assert json.loads(run("bulk", "resume", bulk.id, "--json").stdout)["state"] == "selecting"
    client.stop_bulk(bulk.id)


def test_paused_failed_and_ended_runs_have_their_verbs(run, client):
    """[O13]"""
    for run_id in "abc":
        client.submit("x", run_id=run_id)
    client.pause("a")
    client.fail("b")
    for verb, count in (("resume", 1), ("retry", 1), ("delete", 1), ("cancel", 2), ("pause", 1)):
        said = run(verb, "--where", "runner=x", "--dry-run", "--json")
        assert json.loads(said.stdout)["count"] == count, verb


@pytest.mark.parametrize(
    "words",
    [
        ["cancel"],
        ["cancel", "a", "--where", "runner=x"],
        ["cancel", "a", "--yes"],
        ["retry", "a", "--rate", "5"],
        ["delete", "--force", "--where", "runner=x"],
        ["signal", "a"],
        ["signal", "a", "b", "1", "2"],
        ["signal", "--where", "runner=x"],
        ["signal", "go", "--where", "runner=x", "--start", "x"],
        ["signal", "go", "--where", "runner=x", "--keep", "latest"],
        ["signal", "a", "go", "--input", "1"],
        ["cancel", "--where", "colour=red", "--dry-run"],
        ["cancel", "--where", "older=soon", "--dry-run"],
    ],
)
def test_what_does_not_go_together_is_refused(run, words):
    """[O13]"""
    assert run(*words).exit_code == 2


def test_a_bulk_that_is_not_known_is_not_found(run):
    """[O13]"""
    assert run("bulk", "show", "nobody").exit_code == 5

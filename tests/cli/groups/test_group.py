"""`stepflow group`."""

import json

import pytest


@pytest.fixture
def members(tmp_path):
    """A file with the members of a group."""
    path = tmp_path / "members.json"
    path.write_text(json.dumps({key: {"runner": "etl", "payload": key} for key in "abc"}))
    return str(path)


def test_a_group_is_submitted_shown_and_listed(run, client, members):
    """[K7]"""
    said = run("group", "submit", "g", members, "--join", "2")
    assert (said.exit_code, said.stdout) == (0, "group g: 3 members, running\n"), said.stderr
    client.fail("g--a", "no disk")
    shown = run("group", "show", "g").stdout
    for words in (
        "join       quorum(2)",
        "live       2",
        "failed     1",
        "no disk",
        "oldest     b",
    ):
        assert words in shown
    [_, row] = run("group", "list").stdout.splitlines()
    assert row.split()[:7] == ["g", "running", "3", "2", "0", "1", "0"]
    assert "group      g" in run("show", "g--b").stdout
    assert json.loads(run("group", "show", "g", "--json").stdout)["failures"][0]["keys"] == ["a"]


def test_payloads_alone_are_enough_with_a_runner(run, client):
    said = run("group", "submit", "g", "-", "--runner", "etl", stdin='{"a": {"n": 1}}')
    assert said.exit_code == 0, said.stderr
    assert client.status("g--a").payload == {"n": 1}
    run("group", "cancel", "g")


def test_it_is_retried_cancelled_awaited_and_forgotten(run, client, members):
    """[K7]"""
    run("group", "submit", "g", members)
    client.fail("g--a")
    assert "1 failed members are retried" in run("group", "retry", "g").stdout
    assert "no member has failed" in run("group", "retry", "g").stdout
    assert run("group", "forget", "g").exit_code == 1
    assert "is cancelled" in run("group", "cancel", "g", "--reason", "wrong input").stdout
    ended = run("group", "wait", "g")
    assert ended.exit_code == 4
    assert "wrong input" in ended.stdout
    assert "its members stay" in run("group", "forget", "g").stdout
    assert run("group", "show", "g").exit_code == 5
    assert run("group", "forget", "g").exit_code == 5


def test_another_manifest_is_told_of(run, members):
    """[K6]"""
    run("group", "submit", "g", members)
    said = run("group", "submit", "g", "-", "--runner", "etl", stdin='{"a": "a", "d": 1}')
    assert said.exit_code == 1
    assert "1 new: d; 2 missing: b, c" in said.stderr
    run("group", "cancel", "g")


@pytest.mark.parametrize(
    ("stdin", "options", "words"),
    [
        ("[1]", (), "a map from key to run"),
        ("{", (), "is not JSON"),
        ('{"a": 1}', (), "has no runner"),
        ('{"a": {"runner": "etl", "webhook": 1}}', (), "'webhook'"),
        ('{"a": {"runner": "etl", "run_id": "x"}}', (), "'run_id'"),
        ('{"a": {"runner": "etl"}}', ("--join", "most"), "join 'most' is none"),
        ('{"a": {"runner": "etl"}}', ("--timeout", "5"), "goes with a join"),
        ('{"a b": {"runner": "etl"}}', (), "key 'a b'"),
    ],
)
def test_what_cannot_be_is_said_in_words(run, stdin, options, words):
    said = run("group", "submit", "g", "-", *options, stdin=stdin)
    assert said.exit_code == 2
    assert words in said.stderr


def test_a_missing_file_is_named(run):
    said = run("group", "submit", "g", "nowhere.json")
    assert (said.exit_code, "nowhere.json cannot be read" in said.stderr) == (2, True)


def test_submit_waits_and_exits_as_the_group_did(run, client, members):
    assert run("group", "submit", "g", members, "--join", "any").exit_code == 0
    client.cancel("g--a")
    assert run("group", "wait", "g", "--timeout", "0.01").exit_code == 6
    run("group", "cancel", "g")
    assert run("group", "submit", "g", members, "--join", "any", "--wait").exit_code == 4

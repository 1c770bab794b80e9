"""Verbs that take many RUNs, and the options of `stepflow list` [U12]."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from stepflow import PermanentError
from stepflow.cli.params import SINCE


@pytest.fixture
def runs(client):
    for name in ("a1", "b1", "c1"):
        client.submit("etl", run_id=name)
    return client


def test_many_are_cancelled_each_with_its_line_and_the_worst_exit_code_counts(run, runs):
    """[U12] One that cannot be done keeps none of the others back."""
    runs.cancel("b1")
    done = run("cancel", "a1", "b1", "nobody", "c1")
    assert done.stdout == "run a1 is cancelled\nrun c1 is cancelled\n"
    assert "run b1 is cancelled already" in done.stderr
    assert "nobody" in done.stderr
    assert done.exit_code == 5
    assert {runs.status(name).state for name in ("a1", "b1", "c1")} == {"cancelled"}


def test_many_are_cancelled_and_waited_for(run, runs):
    """[U12]"""
    done = run("cancel", "a1", "b1", "--wait")
    assert (done.exit_code, done.stdout) == (4, "run a1 is cancelled\nrun b1 is cancelled\n")


def test_json_is_a_list_for_many_and_what_it_was_for_one(run, runs):
    """[U12]"""
    assert json.loads(run("fail", "a1", "--json").stdout)["state"] == "failed"
    done = run("fail", "b1", "a1", "--json")
    first, second = json.loads(done.stdout)
    assert (first["id"], first["state"]) == ("b1", "failed")
    assert second == {"id": "a1", "problem": "run a1 has failed already; there is nothing to fail"}
    assert done.exit_code == 1


async def test_many_are_retried_and_resumed(run, app, client, aclient, working):
    """[U12]"""

    @app.runner("fails")
    async def fails(step):
        raise PermanentError("no")

    async with working(app):
        for name in ("a1", "b1"):
            await (await aclient.submit("fails", run_id=name)).wait(60)
    done = run("retry", "a1", "b1")
    assert (done.exit_code, done.stdout) == (0, "run a1 goes on\nrun b1 goes on\n")
    again = run("resume", "a1", "b1")
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr.count("error: ") == 2


def test_list_filters_by_queue_header_and_time(run, client):
    """[U12]"""
    client.submit("etl", run_id="a1", queue="slow", headers={"tenant": "t1"})
    client.submit("etl", run_id="b1", headers={"tenant": "t1"})

    def found(*options):
        return sorted(
            one["id"] for one in json.loads(run("list", *options, "--json").stdout)["runs"]
        )

    assert found("--queue", "slow") == ["a1"]
    assert found("--header", "tenant=t1") == ["a1", "b1"]
    assert found("--header", "tenant=t1", "--header", "x=y") == []
    assert found("--since", "2h", "--roots") == ["a1", "b1"]
    assert found("--since", "2999-01-01T00:00:00Z") == []
    assert found("--parent", "a1") == []


def test_list_says_at_how_many_runs_it_has_looked(run, client):
    """[U12]"""
    client.submit("etl", run_id="a1")
    client.submit("etl", run_id="b1")
    some = run("list", "--limit", "1")
    assert "looked at 1 runs; go on with --after '" in some.stderr


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("2030-01-01T00:00:00+00:00", datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_since_when_is_a_moment_or_how_long_ago(text, means):
    assert SINCE.convert(text, None, None) == means


def test_show_has_the_variables_when_asked(run, client):
    """[U12]"""
    client.submit("etl", run_id="a1")
    assert "no variables" in run("show", "a1", "--vars").stderr
    assert json.loads(run("show", "a1", "--vars", "--json").stdout)["vars"] == {}
    assert "vars" not in json.loads(run("show", "a1", "--json").stdout)

"""Budgets are looked at, set and reset."""

import json

import pytest
from click.testing import CliRunner

from stepflow.cli.main import cli
from stepflow.store.connection.sync import SyncConnection
from tests.budgets.test_orderings import Bench


@pytest.fixture
def spent(real):
    """A budget of which 30 tokens are spent and 20 reserved."""
    bench = Bench(SyncConnection(real, "the test's server"), real)
    run = bench.claimed("a")
    bench.settle(run, bench.reserve(run), 30)
    bench.reserve(run, 20, attempt="q")
    yield bench
    real.flushall()


@pytest.fixture
def cli_run(url):

    return lambda *args: CliRunner().invoke(cli, ["--redis-url", url, *args])


def test_the_command_line_lists_shows_sets_and_resets(spent, cli_run):
    """[A12]"""
    assert "30 of 100" in cli_run("budgets", "list").stdout
    shown = cli_run("budgets", "show", "b").stdout
    assert "reserved    0.000000 usd, 20 tokens" in shown
    assert cli_run("budgets", "set", "b").exit_code == 2
    said = cli_run("budgets", "set", "b", "--tokens", "500", "--note", "launch").stdout
    assert said == "budget b: 30 of 500 tokens are spent\n"
    assert json.loads(cli_run("budgets", "show", "b", "--json").stdout)["note"] == "launch"
    assert cli_run("budgets", "reset", "b").stdout == "budget b: 0 of 500 tokens are spent\n"
    assert cli_run("budgets", "show", "nobody").exit_code == 5
